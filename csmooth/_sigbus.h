/* What a process does when a page of a mapped file is gone: beyond the end of a file that has shrunk, or on a bad disk.

By default SIGBUS ends it, without a word. Here the page becomes one of zeros, and is counted, so that whoever reads
can look afterwards, and say what is wrong. Elsewhere than on POSIX files that are mapped cannot shrink. */

#if defined(__unix__) || defined(__APPLE__)

#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile sig_atomic_t pages_lost = 0;
static struct sigaction sigbus_before;
static long page_size;

static void sigbus_handler(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)context;
    void *page = (void *)((uintptr_t)info->si_addr & ~(uintptr_t)(page_size - 1));
    pages_lost = 1;
    if (info->si_code != BUS_ADRERR ||
        mmap(page, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        sigaction(SIGBUS, &sigbus_before, NULL); /* the access is tried again, and ends as it would have */
}

static void sigbus_catch(void) {
    struct sigaction action = {0};
    page_size = sysconf(_SC_PAGESIZE);
    pages_lost = 0;
    action.sa_sigaction = sigbus_handler;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &sigbus_before);
}

static void sigbus_restore(void) { sigaction(SIGBUS, &sigbus_before, NULL); }

#else

static const int pages_lost = 0;
static void sigbus_catch(void) {}
static void sigbus_restore(void) {}

#endif
