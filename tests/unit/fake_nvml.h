/* fake_nvml.h: a libnvidia-ml.so.1 of the tests, and how a test steers it: dlopen the same file and take its symbol
 * fake_nvml_state.
 */
#ifndef FAKE_NVML_H
#define FAKE_NVML_H

typedef struct fake_nvml {
    const char *failing;                         /* the call that fails, by name; NULL = none */
    int code;                                    /* what it answers then */
    unsigned n_devices;                          /* at most 4 */
    int hidden;                                  /* this device may not be opened; -1 = none */
    int n_users;                                 /* nvmlInit less nvmlShutdown */
    unsigned pid;                                /* of a process on every device */
    unsigned long long used[4], process_used[4]; /* bytes */
    unsigned busy[4], milliwatts[4];
    unsigned long long millijoules[4];
} fake_nvml;

#endif
