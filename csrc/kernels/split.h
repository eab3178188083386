// split: share out the items of a loop among threads, in runs of equal length.
#pragma once

#include <algorithm>
#include <cstdint>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace graphc {

// How many of `threads` a loop deserves that costs about `work` nanoseconds.
inline int threads_for(double work, int threads) {
    constexpr double kShare = 20000;  // below this, waking a thread costs more than it saves
    return int(std::clamp(work / kShare, 1.0, double(threads)));
}

// Calls body(from, to) for disjoint runs that cover 0 .. count - 1, one per thread.
template <class Body>
void split(std::int64_t count, int threads, const Body& body) {
#ifdef _OPENMP
    threads = int(std::min<std::int64_t>(threads, count));
    if (threads > 1) {
#pragma omp parallel num_threads(threads)
        {
            const std::int64_t team = omp_get_num_threads(), me = omp_get_thread_num();
            body(count * me / team, count * (me + 1) / team);
        }
        return;
    }
#endif
    if (count > 0) body(0, count);
}

}  // namespace graphc
