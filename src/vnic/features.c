/*
 * features.c: which feature bits are offered, and why.
 *
 * The list is a migration ABI: a guest keeps the bits it acknowledged when it moves, so they must
 * not depend on the port. What a port lacks is done in path/ (checksum, segmentation). An operator
 * may switch bits off, the same on both hosts.
 *
 * QEMU (7.2 to 10.0, its list of vhost-user-net bits) lets the guest have the following only when
 * we offer them, besides those of the table:
 *   NOTIFY_ON_EMPTY    no: EVENT_IDX and the plain flags do what guests need
 *   GSO                no: legacy, "any segmentation"; superseded by the HOST_ bits
 *   GUEST_TSO4/6, GUEST_ECN, GUEST_UFO, GUEST_USO4/6
 *                      no: the port gives frames as they were on the wire; nothing is merged towards
 *                      the guest. A driver without them posts buffers of one frame, which any path
 *                      without copies wants
 *   HOST_UFO, HOST_USO no: fragments of UDP are deprecated in Linux; USO is too rare
 *   RSC_EXT, RSS, HASH_REPORT, MQ
 *                      no: one queue pair
 *   RING_PACKED, RING_RESET, NOTIFICATION_DATA
 *                      no: split rings, no virtqueue reset, and kicks carry no data here
 *   ACCESS_PLATFORM    no: a guest IOMMU would need an IOTLB protocol; the preflight says so
 * These never reach us, QEMU decides and serves them: MAC, STATUS (the link state is the socket's),
 * CTRL_VQ, CTRL_RX, CTRL_RX_EXTRA, CTRL_VLAN, CTRL_MAC_ADDR, CTRL_GUEST_OFFLOADS, SPEED_DUPLEX,
 * STANDBY.
 *
 * GUEST_ANNOUNCE: a Linux guest then sends gratuitous ARP and neighbour advertisements when it
 * arrives, for all its addresses and on its VLANs too, which a RARP of ours cannot; QEMU sends no
 * SEND_RARP then. With --incoming we send RARPs all the same.
 * IN_ORDER: entries are always used in order, so it costs nothing to say so.
 */
#include "vnic/features.h"

#include <errno.h>
#include <string.h>

#include "path/path.h"
#include "vhost/session.h"
#include "vnic/internal.h"

#define B(bit) (1ull << (bit))
#define TSO (B(VIRTIO_NET_F_HOST_TSO4) | B(VIRTIO_NET_F_HOST_TSO6))

/* Spec: virtio 1.2, 5.1.3 (bits), 5.1.3.1 (what each requires), 6; vhost-user, Feature bits. */
const struct vnic_feature vnic_feature_table[] = {
	{ "csum", VIRTIO_NET_F_CSUM, true, false, 0, 0, "path",
	  "the guest leaves checksums to us: the port's, or software's" },
	{ "guest_csum", VIRTIO_NET_F_GUEST_CSUM, true, false, 0, 0, "path",
	  "the guest learns which checksums the port has found good" },
	{ "mtu", VIRTIO_NET_F_MTU, true, false, 0, 0, "vhost",
	  "the guest learns the MTU (QEMU: host_mtu=N)" },
	{ "host_tso4", VIRTIO_NET_F_HOST_TSO4, true, false, B(VIRTIO_NET_F_CSUM), 0, "path",
	  "the guest leaves cutting TCP over IPv4 to us" },
	{ "host_tso6", VIRTIO_NET_F_HOST_TSO6, true, false, B(VIRTIO_NET_F_CSUM), 0, "path",
	  "the same over IPv6" },
	{ "host_ecn", VIRTIO_NET_F_HOST_ECN, true, false, 0, TSO, "path",
	  "frames to be cut may carry congestion signals" },
	{ "mrg_rxbuf", VIRTIO_NET_F_MRG_RXBUF, true, false, 0, 0, "path",
	  "a received frame may take several buffers" },
	{ "guest_announce", VIRTIO_NET_F_GUEST_ANNOUNCE, true, false, 0, 0, "QEMU",
	  "the guest announces itself after a migration" },
	{ "any_layout", VIRTIO_F_ANY_LAYOUT, true, false, 0, 0, "ring",
	  "legacy guests may lay out headers as they like" },
	{ "indirect_desc", VIRTIO_F_INDIRECT_DESC, true, false, 0, 0, "ring",
	  "descriptors in tables" },
	{ "event_idx", VIRTIO_F_EVENT_IDX, true, false, 0, 0, "ring",
	  "notifications at chosen entries only" },
	{ "in_order", VIRTIO_F_IN_ORDER, true, false, 0, 0, "ring", "buffers come back in order" },
	{ "version_1", VIRTIO_F_VERSION_1, true, true, 0, 0, "ring", "virtio 1.0 and later" },
	{ "log_all", VHOST_F_LOG_ALL, true, true, 0, 0, "guest", "the dirty log of a migration" },
	{ "protocol_features", VHOST_USER_F_PROTOCOL_FEATURES, true, true, 0, 0, "vhost",
	  "vhost-user's own features" },
	{ 0 },
};

uint64_t vnic_features_off(void)
{
	uint64_t off = 0;

	for (const struct vnic_feature *f = vnic_feature_table; f->name; f++)
		off |= f->on ? 0 : B(f->bit);
	return off;
}

uint64_t vnic_features_offer(uint64_t off)
{
	uint64_t offer = 0, before;

	for (const struct vnic_feature *f = vnic_feature_table; f->name; f++)
		offer |= f->fixed || !(off & B(f->bit)) ? B(f->bit) : 0;
	do {
		before = offer;
		for (const struct vnic_feature *f = vnic_feature_table; f->name; f++)
			if ((f->needs_all & ~offer) || (f->needs_one && !(f->needs_one & offer)))
				offer &= ~B(f->bit);
	} while (offer != before);
	return offer;
}

uint64_t vnic_features(const struct vnic_config *cfg)
{
	return vnic_features_offer(cfg->features_off);
}

/* "a, b and c" of the names that can be switched. */
static const char *names(char *out, size_t size)
{
	size_t n = 0;

	*out = 0;
	for (const struct vnic_feature *f = vnic_feature_table; f->name; f++)
		if (!f->fixed && n < size)
			n += (size_t)snprintf(out + n, size - n, "%s%s", n ? ", " : "", f->name);
	return out;
}

/* One switch of @p len characters. */
static int switch_one(const char *text, size_t len, uint64_t *off, struct err *e)
{
	bool minus = len && *text == '-';
	const char *name = text + minus, *equals = memchr(text, '=', len);
	size_t name_len = (size_t)((equals ? equals : text + len) - name);
	size_t value_len = equals ? (size_t)(text + len - equals - 1) : 0;
	bool on = value_len == 2 && memcmp(equals + 1, "on", 2) == 0;
	char all[256];

	if (minus == !!equals ||
	    (equals && !on && (value_len != 3 || memcmp(equals + 1, "off", 3))))
		return err_set(e, -EINVAL, "'%.*s': give NAME=off, NAME=on or -NAME", (int)len,
			       text);
	for (const struct vnic_feature *f = vnic_feature_table; f->name; f++) {
		if (strlen(f->name) != name_len || memcmp(f->name, name, name_len) != 0)
			continue;
		if (f->fixed && !on)
			return err_set(e, -EINVAL, "%s cannot be switched off", f->name);
		*off = on ? *off & ~B(f->bit) : *off | B(f->bit);
		return 0;
	}
	return err_set(e, -EINVAL, "there is no feature '%.*s': choose from %s", (int)name_len,
		       name, names(all, sizeof(all)));
}

int vnic_features_parse(const char *text, uint64_t *off, struct err *e)
{
	uint64_t now = *off;

	for (;;) {
		size_t len = strcspn(text, ",");
		int rc = switch_one(text, len, &now, e);

		if (rc)
			return rc;
		if (!text[len])
			break;
		text += len + 1;
	}
	*off = now;
	return 0;
}

void vnic_features_names(FILE *to, const char *indent, unsigned int columns)
{
	unsigned int at = 0;

	for (const struct vnic_feature *f = vnic_feature_table; f->name; f++) {
		unsigned int len = (unsigned int)strlen(f->name) + 1;

		if (f->fixed)
			continue;
		if (!at || at + len > columns) {
			fprintf(to, "%s%s", at ? "\n" : "", indent);
			at = (unsigned int)strlen(indent);
		}
		fprintf(to, " %s", f->name);
		at += len;
	}
	fprintf(to, "\n");
}

unsigned int vnic_features_offloads(uint64_t acked)
{
	static const struct {
		unsigned int bit, offload;
	} map[] = { { VIRTIO_NET_F_CSUM, PATH_TX_CSUM },
		    { VIRTIO_NET_F_HOST_TSO4, PATH_TX_TSO4 },
		    { VIRTIO_NET_F_HOST_TSO6, PATH_TX_TSO6 },
		    { VIRTIO_NET_F_HOST_ECN, PATH_TX_ECN },
		    { VIRTIO_NET_F_GUEST_CSUM, PATH_RX_CSUM } };
	unsigned int out = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		out |= acked & B(map[i].bit) ? map[i].offload : 0;
	/* Spec: 5.1.3.1: without CSUM a driver may not have the others: it gets none. */
	return out & PATH_TX_CSUM ? out : out & PATH_RX_CSUM;
}
