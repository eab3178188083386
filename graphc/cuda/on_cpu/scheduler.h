// The threads of one block, as fibers of one OS thread.
//
// A thread runs until it meets a barrier or a warp collective; blocks run one after another. Which
// thread goes on is the scheduler's choice, so that a kernel whose result depends on it is found
// by running it in several orders.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cuda_on_cpu {

struct Extent {
    unsigned x = 1, y = 1, z = 1;
};

enum class Wait { kNone, kBarrier, kCollective, kReturned };

struct Thread {
    void* stack_pointer;
    char* stack;
    void* fake_stack;  // the sanitizer's
    Extent index;
    unsigned number, lane;
    Wait wait;
    int site;  // the line of the barrier or collective
    unsigned mask;
    std::uint64_t value;
    std::uint64_t values[32];  // of all lanes, once the collective is met
};

struct Running {
    Extent grid, block, block_index;
    Thread* thread;
    char* dynamic_shared;
};

extern Running running;

using Body = void (*)(void*);

// Runs every block; returns nullptr, or what went wrong.
const char* launch(const unsigned* extents, std::size_t shared_bytes, Body body, void* context);

void barrier(int site);

// The values of the lanes that `mask` names, when all have come.
const std::uint64_t* collective(unsigned mask, std::uint64_t value, int site);

}  // namespace cuda_on_cpu
