/* Which system calls a process may still make (seccomp): what it needs to serve, no others. Whoever
 * takes over a process has these alone to go on with. */
#pragma once

#include "base/error.h"

/* What a process may beside reading and writing with the descriptors that it has or is sent,
 * waiting, memory, time, and ending itself. */
enum sandbox_grant {
    SANDBOX_INTERNET = 1 << 0, /* sockets of IPv4 and IPv6, to connect with, none to listen on */
    SANDBOX_UNIX = 1 << 1,     /* the same within this machine */
    SANDBOX_ACCEPT = 1 << 2,   /* clients of the listening sockets that it has */
    SANDBOX_READ = 1 << 3,     /* opening files to read them */
};

/* Has no way back, and holds for all that the process does from here on. What isn't granted ends it
 * with SIGSYS; what libraries try in vain without harm, as opening files, fails with EPERM. Needs
 * no_new_privs. Returns 0, or -1 and why: then the process must end.
 *
 * AddressSanitizer asks for much more, so that its builds have no sandbox.
 *
 * Hot: from here on the kernel looks at each system call, for some 25 ns. */
int sandbox_enter(unsigned grants, struct error *why);
