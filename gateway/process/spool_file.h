/* The master opens the files in which workers, who see no path, hold messages. */
#pragma once

struct post;

/* Sends who asks an empty file in spool_dir that has no name; or word that there is none, which is
 * logged. */
void spool_file_send(struct post *asker);
