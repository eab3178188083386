// What the kernels of this folder share: oneDNN's engine, its errors, its threads, and primitives
// ready to be run.
#pragma once

#include <omp.h>

#include <initializer_list>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

#include "core/kernel.h"

namespace graphc::onednn {

using Desc = dnnl::memory::desc;

// The process's only one, made on first use. Throws Error (GC-A001) where channel_block() is 0.
const dnnl::engine& engine();

// oneDNN takes as many threads as OpenMP would give to the calling one.
class ThreadLimit {
  public:
    explicit ThreadLimit(int threads) : before_(omp_get_max_threads()) {
        omp_set_num_threads(threads);
    }
    ~ThreadLimit() { omp_set_num_threads(before_); }
    ThreadLimit(const ThreadLimit&) = delete;
    ThreadLimit& operator=(const ThreadLimit&) = delete;

  private:
    int before_;
};

// Throws what oneDNN had against making something, as Error: GC-M002 or GC-A001.
[[noreturn]] void throw_error(const dnnl::error& error);

// What `make` returns, called with the threads that what it makes shall use when it runs.
template <class Make>
auto made(int threads, const Make& make) {
    const ThreadLimit limit(threads);
    try {
        return make();
    } catch (const dnnl::error& error) {
        throw_error(error);
    }
}

// Throws Error (GC-A001) if oneDNN would run a slow implementation, one whose name holds a word of
// these.
void refuse(const dnnl::primitive_desc_base& told, std::initializer_list<const char*> words);

// Says in run.fault what keeps a kernel from running.
void report(const Run& run, const char* code, const char* message);

// Attributes of a primitive whose scratchpad is part of the plan. Made anew for each: copies of
// one share what is set later.
dnnl::primitive_attr plain_attr();
// The same for a sum y that is followed by y += what y held (attribute residual) and y = relu(y)
// (attributes relu and slope).
dnnl::primitive_attr epilogue_attr(const Attrs& attrs);

// A primitive and the memory objects it works on, made once; a run only sets their addresses.
class Call {
  public:
    struct Argument {
        int name;  // DNNL_ARG_*
        Desc desc;
    };

    Call(const dnnl::primitive_desc_base& told, const std::vector<Argument>& arguments,
         int threads);

    // Bytes of scratchpad that execute() needs.
    std::size_t scratchpad() const { return scratchpad_; }

    // Runs on as many `addresses` as there are arguments; false, told in run.fault, if that fails.
    bool execute(const Run& run, char* scratchpad, const void* const* addresses) const;

  private:
    dnnl::primitive primitive_;
    dnnl::stream stream_;
    std::vector<dnnl::memory> memories_;  // the last one is the scratchpad
    std::vector<dnnl_exec_arg_t> arguments_;
    std::size_t scratchpad_ = 0;
};

}  // namespace graphc::onednn
