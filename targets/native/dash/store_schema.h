/* store_schema.h: the tables of the history, version by version. */
#ifndef BITNET_DASH_STORE_SCHEMA_H
#define BITNET_DASH_STORE_SCHEMA_H

/* "btnt", in the header of every SQLite file that is ours. */
#define STORE_APPLICATION_ID 0x62746e74

typedef struct store_migration { /* brings a database from the version before to this one */
    const char *sqlite, *postgres;
} store_migration;

extern const store_migration store_migrations[]; /* DB_SCHEMA_VERSION of them */

#endif
