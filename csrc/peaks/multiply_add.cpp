#include "peaks/multiply_add.h"

#include <chrono>
#include <string>
#include <vector>

#include "error.h"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace graphc {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::int64_t kMostSteps = std::int64_t(1) << 40;

const MultiplyAddLoop& chosen_loop() {
    const Isa isa = chosen_isa();
#if GRAPHC_X86
    if (isa == Isa::avx512) return avx512::multiply_add_loop;
    if (isa == Isa::avx2) return avx2::multiply_add_loop;
#endif
    (void)isa;
    return portable::multiply_add_loop;
}

}  // namespace

MultiplyAddTime multiply_add(const MultiplyAdds& order, int threads) {
    if (threads < 1 || threads > 1024) {
        throw Error("GC-R004", std::to_string(threads) + " threads; 1 to 1024 are possible");
    }
    if (order.steps < 0 || order.steps > kMostSteps) {
        throw Error("GC-R004", std::to_string(order.steps) + " steps; 0 to 2^40 are possible");
    }
    const MultiplyAddLoop& loop = chosen_loop();
    const std::size_t lanes = std::size_t(loop.lanes);
    std::vector<float> values(lanes * threads, order.start);
    Clock::time_point begin, end;
    int team = 1;
#pragma omp parallel num_threads(threads)
    {
        int self = 0;
#ifdef _OPENMP
        self = omp_get_thread_num();
#pragma omp single
        team = omp_get_num_threads();  // which may be fewer than asked for
#endif
        // The clock starts when all threads are there, and awake.
#pragma omp barrier
#pragma omp master
        begin = Clock::now();
        loop.run(values.data() + self * lanes, order.factor, order.addend, order.steps);
#pragma omp barrier
#pragma omp master
        end = Clock::now();
    }
    MultiplyAddTime time;
    time.seconds = std::chrono::duration<double>(end - begin).count();
    time.count = order.steps * std::int64_t(lanes) * team;
    for (std::size_t i = 0; i < lanes * team; ++i) time.total += double(values[i]);
    return time;
}

}  // namespace graphc
