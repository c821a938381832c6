/* load_file.h: what unit tests share: the shipped model and the golden values. */
#ifndef BITNET_TEST_LOAD_FILE_H
#define BITNET_TEST_LOAD_FILE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <cjson/cJSON.h>

#include "bitnet/bitnet.h"
#include "source_file.h"

/* Under the thread sanitizer code runs at a fiftieth of its speed, and only what threads do is looked for. */
#ifdef __SANITIZE_THREAD__
#define TEST_IS_SLOW 1
#else
#define TEST_IS_SLOW 0
#endif

typedef struct test_model {
    source_file file;
    bitnet_model *model;
} test_model;

/* The shipped model; fails the test when it does not load. allocator may be NULL. */
void test_model_open(test_model *t, int32_t n_threads, uint32_t cpu_mask,
                     const bitnet_allocator *allocator);
/* As how says, but for its source. */
void test_model_open_as(test_model *t, const bitnet_model_desc *how);
void test_model_close(test_model *t);

/* One for all tests of a group, on one thread: cmocka_run_group_tests(tests, test_shared_open,
 * test_shared_close). */
extern test_model test_shared;
int test_shared_open(void **state);
int test_shared_close(void **state);

char *test_file_read(const char *path_in_tree, size_t *len); /* malloc'd, terminated */
cJSON *test_golden(void);                                    /* tests/golden/bitnet-tales.json */
int32_t test_int_array(const cJSON *array, bitnet_token *out, int32_t cap);

#endif
