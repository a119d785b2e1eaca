/* What the kernel knows of a TCP connection. */
#pragma once

/* The segments with data that have come. */
unsigned segments_in(int fd);
