/* By itself: the C library's tcp_info is older than the count. */
#include "segments.h"

#include <linux/in.h>
#include <linux/tcp.h>
#include <sys/socket.h>

unsigned segments_in(int fd)
{
    struct tcp_info known = {0};
    socklen_t size = sizeof known;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &known, &size) < 0 ? 0 : known.tcpi_data_segs_in;
}
