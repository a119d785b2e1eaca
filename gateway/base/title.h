/* The name under which `ps` shows a process. */
#pragma once

/* Makes room for titles: to be called first in main, before anybody keeps a pointer into argv or
 * environ, which it copies away. */
void title_prepare(int argc, char **argv);

/* "porteirod: worker 2 (draining)" in full, and its first word's end in the kernel's short name. */
void title_set(const char *format, ...) __attribute__((format(printf, 1, 2)));
