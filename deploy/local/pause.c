// pause: first process of a pod's sandbox and of a local node. Waits until told to end, and reaps
// whatever orphans fall to it as process 1 of its process namespace.
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

int main(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, NULL);
  for (;;) {
    int signal_number = 0;
    sigwait(&set, &signal_number);
    if (signal_number != SIGCHLD) return 0;
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
  }
}
