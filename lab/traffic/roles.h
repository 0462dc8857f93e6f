/* The roles that gwtraffic can play; each is one file, called by main with the arguments after
 * the role's name. */
#ifndef GWTRAFFIC_ROLES_H
#define GWTRAFFIC_ROLES_H

/* Each returns the exit status: 0, 1 failed, 2 wrong usage. */
int role_peer(int argc, char **argv);
int role_guest(int argc, char **argv);
int role_agent(int argc, char **argv);
int role_selftest(int argc, char **argv);

#endif
