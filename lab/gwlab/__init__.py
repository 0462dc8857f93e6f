"""gwlab: the emulated SR-IOV lab's library (ARCHITECTURE.md, "lab")."""
