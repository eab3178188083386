// Kernel: one prepared call. Made once when a plan is loaded, run many times, allocates only when
// made. A kernel file registers its factory with GRAPHC_KERNEL(symbol, Type).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/attrs.h"
#include "core/tensor.h"

namespace graphc {

// What a factory is told: operand shapes in the declaration's order, and the call's parameters.
// An operand that the call does not have (an aux nobody reads) is left out by the lowering.
struct Problem {
    std::vector<Spec> reads;
    std::vector<Spec> writes;
    Attrs attrs;
    int threads = 1;  // the most that a run may use; a kernel's workspace holds room for each
};

// Where a kernel says that it met bad data (a label out of range); the owner of the run throws it
// as an Error. What the kernel writes is then worth nothing.
struct Fault {
    const char* code = nullptr;  // null: all is well; texts that live forever
    const char* hint = "";
    char message[448] = "";
};

// Addresses of one run, in the order of the problem's operands. `workspace` has the bytes the
// variant asked for, aligned to 64; `threads` is how many OpenMP threads the kernel may use.
// `seed` and `step` choose the random streams, see rng/stream.h.
struct Run {
    const char* const* reads;
    char* const* writes;
    char* workspace;
    int threads;
    Fault* fault = nullptr;
    std::uint64_t seed = 0;
    std::uint32_t step = 0;

    const float* in(int i) const { return reinterpret_cast<const float*>(reads[i]); }
    float* out(int i) const { return reinterpret_cast<float*>(writes[i]); }
};

class Kernel {
  public:
    virtual ~Kernel() = default;
    // Bytes of workspace run() needs.
    virtual std::size_t workspace() const { return 0; }
    // Floats of the packed weight, where only the library that packs it knows; else 0. A kernel
    // made with an empty weight can tell this, though not run.
    virtual std::size_t packed() const { return 0; }
    // Must not allocate or throw; everything that can fail is checked when the kernel is made.
    virtual void run(const Run& run) const = 0;
};

using Factory = std::unique_ptr<Kernel> (*)(const Problem&);

// The factory of a symbol; throws graphc::Error (GC-A001) for an unknown one.
Factory find_kernel(const std::string& symbol);
std::vector<std::string> kernel_symbols();
bool register_kernel(const char* symbol, Factory factory);

#define GRAPHC_KERNEL(symbol, Type)                                                         \
    namespace {                                                                             \
    const bool Type##_registered = ::graphc::register_kernel(                               \
        symbol, [](const ::graphc::Problem& problem) -> std::unique_ptr<::graphc::Kernel> { \
            return std::make_unique<Type>(problem);                                         \
        });                                                                                 \
    }

}  // namespace graphc
