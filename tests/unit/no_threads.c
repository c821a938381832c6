/* no_threads.c: linked into the tests that cmake/tests.cmake lists as single-threaded, in pthread_create's
 * place (ld's --wrap): one that starts a thread after all ends here instead of going unwatched.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *attr, void *(*run)(void *),
                          void *user);

int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *attr, void *(*run)(void *),
                          void *user) {
    (void)id, (void)attr, (void)run, (void)user;
    fprintf(stderr, "a thread is started by a test that is listed as single-threaded in "
                    "cmake/tests.cmake\n");
    abort();
}
