// share_out: independent tasks over the threads a kernel may use.
#pragma once

#include <cstdint>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace graphc {

// Calls body(task, thread) for each task 0 .. count-1, in any order; thread < threads.
template <class Body>
void share_out(std::int64_t count, int threads, const Body& body) {
#ifdef _OPENMP
    if (threads > 1 && count > 1) {
#pragma omp parallel for num_threads(threads) schedule(dynamic)
        for (std::int64_t task = 0; task < count; ++task) body(task, omp_get_thread_num());
        return;
    }
#endif
    (void)threads;
    for (std::int64_t task = 0; task < count; ++task) body(task, 0);
}

}  // namespace graphc
