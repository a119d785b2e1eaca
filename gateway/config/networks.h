/* Lists of networks, and what of this machine may lie in them. */
#pragma once

#include "base/network.h"
#include "base/setting.h"

/* The networks of `texts`; one that was refused when it was read is left out. */
void networks_read(const struct text_list *texts, struct arena *a, struct network_list *out);

/* Does it hold the default router, or a bridge (of containers, of virtual machines)? What comes
 * through NAT there has that address, whoever sent it. Writes which, for people. */
enum { NETWORKS_NAT_SIZE = 128 };
bool network_holds_nat(const struct network *n, char which[NETWORKS_NAT_SIZE]);

/* Does it hold an address of loopback: users and web sites of this machine? */
bool network_holds_loopback(const struct network *n);
