// multiply_add: a loop of multiply-adds from registers alone, as many per second as the CPU can do.
// One copy per Isa (multiply_add_*.cpp). Each lane computes x = x * factor + addend over and over,
// so that its last value tells how often that was done.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace graphc {

struct MultiplyAdds {
    float start;  // of every lane
    float factor;
    float addend;
    std::int64_t steps;  // of every lane
};

// `seconds` from the first thread's start to the last one's end; `count`: multiply-adds that all
// lanes of all threads did together; `total`: sum of their last values.
struct MultiplyAddTime {
    double seconds = 0;
    std::int64_t count = 0;
    double total = 0;
};

// Runs the loop of chosen_isa() on so many threads. Throws Error (GC-R004) for numbers of steps or
// threads that are out of range.
MultiplyAddTime multiply_add(const MultiplyAdds& order, int threads);

struct MultiplyAddLoop {
    int lanes;
    // `lanes` first values in, last values out.
    void (*run)(float* values, float factor, float addend, std::int64_t steps);
};

namespace portable {
extern const MultiplyAddLoop multiply_add_loop;
}
namespace avx2 {
extern const MultiplyAddLoop multiply_add_loop;
}
namespace avx512 {
extern const MultiplyAddLoop multiply_add_loop;
}

}  // namespace graphc
