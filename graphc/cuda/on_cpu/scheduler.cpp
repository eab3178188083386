#include "scheduler.h"

#include <link.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#ifdef __SANITIZE_ADDRESS__
extern "C" {
void __sanitizer_start_switch_fiber(void**, const void*, std::size_t);
void __sanitizer_finish_switch_fiber(void*, const void**, std::size_t*);
}
#endif

extern "C" void cuda_on_cpu_switch(void** save, void* load);

// System V x86-64: what a call preserves is pushed, the stacks are exchanged.
asm(R"(
.text
.type cuda_on_cpu_switch,@function
cuda_on_cpu_switch:
  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
  ret
.size cuda_on_cpu_switch,.-cuda_on_cpu_switch
)");

namespace cuda_on_cpu {

Running running;

namespace {

constexpr unsigned kMostThreads = 1024, kLanes = 32;
constexpr std::size_t kStackBytes = 256 << 10;
constexpr int kPoison = 0xFF;  // floats of such bytes are NaN

enum Order { kAscending, kDescending, kShuffled };

// Static shared arrays are this library's thread-local variables, see device.h: one range of bytes.
thread_local char among_shared;
char* shared_bytes_start;
std::size_t shared_bytes_count;

Thread threads[kMostThreads];
unsigned count;
int order = kAscending;
std::uint64_t seed;
Body body;
void* context;
char error[256];
void *main_stack_pointer, *main_fake_stack;
const void* main_bottom;
std::size_t main_size;

// A hash of (seed, a, b): the finalizer of SplitMix64 (Steele, Lea, Flood 2014), twice.
std::uint64_t mixed(std::uint64_t a, std::uint64_t b) {
    std::uint64_t z = seed;
    const std::uint64_t words[] = {a, b};
    for (const std::uint64_t word : words) {
        z += word + 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        z ^= z >> 31;
    }
    return z;
}

// The i-th of n in the order asked for; `round` tells shuffles apart.
void arrange(unsigned* numbers, unsigned n, std::uint64_t round) {
    for (unsigned i = 0; i < n; ++i) numbers[i] = order == kDescending ? n - 1 - i : i;
    for (unsigned i = n; order == kShuffled && i > 1; --i) {
        const unsigned j = mixed(round, i) % i;
        const unsigned kept = numbers[i - 1];
        numbers[i - 1] = numbers[j];
        numbers[j] = kept;
    }
}

template <class... Args>
void fail(const char* format, Args... args) {
    if (!*error) std::snprintf(error, sizeof error, format, args...);
}

int find_shared(dl_phdr_info* library, std::size_t, void*) {
    char* const start = static_cast<char*>(library->dlpi_tls_data);
    for (int i = 0; start && i < library->dlpi_phnum; ++i) {
        const auto& header = library->dlpi_phdr[i];
        if (header.p_type != PT_TLS) continue;
        if (&among_shared < start || &among_shared >= start + header.p_memsz) continue;
        shared_bytes_start = start;
        shared_bytes_count = header.p_memsz;
        return 1;
    }
    return 0;
}

void leave([[maybe_unused]] bool for_good) {
    Thread* const me = running.thread;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(for_good ? nullptr : &me->fake_stack, main_bottom, main_size);
#endif
    cuda_on_cpu_switch(&me->stack_pointer, main_stack_pointer);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(me->fake_stack, nullptr, nullptr);
#endif
}

void enter(Thread& thread) {
    running.thread = &thread;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&main_fake_stack, thread.stack, kStackBytes);
#endif
    cuda_on_cpu_switch(&main_stack_pointer, thread.stack_pointer);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(main_fake_stack, nullptr, nullptr);
#endif
}

void start() {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(nullptr, &main_bottom, &main_size);
#endif
    body(context);
    running.thread->wait = Wait::kReturned;
    leave(true);
    std::abort();  // nobody resumes it
}

void prepare(unsigned number) {
    Thread& thread = threads[number];
    if (!thread.stack) {
        void* const stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (stack == MAP_FAILED) std::abort();
        thread.stack = static_cast<char*>(stack);
    }
    void** top = reinterpret_cast<void**>(thread.stack + kStackBytes);
    *--top = nullptr;
    *--top = reinterpret_cast<void*>(&start);
    for (int i = 0; i < 6; ++i) *--top = nullptr;
    const Extent& block = running.block;
    thread.stack_pointer = top;
    thread.fake_stack = nullptr;
    thread.index = {number % block.x, number / block.x % block.y, number / (block.x * block.y)};
    thread.number = number;
    thread.lane = number % kLanes;
    thread.wait = Wait::kNone;
}

// Lets the lanes of a collective go on, if all that `mask` names are there.
bool meet(Thread& last) {
    Thread* const warp = threads + (last.number - last.lane);
    std::uint64_t values[kLanes];
    for (unsigned lane = 0; lane < kLanes; ++lane) {
        values[lane] = ~std::uint64_t{0};
        if (!(last.mask >> lane & 1)) continue;
        const Thread& other = warp[lane];
        if (other.wait != Wait::kCollective || other.mask != last.mask) return false;
        if (other.site != last.site) {
            fail("lanes of mask %08x meet in different collectives, at lines %d and %d", last.mask,
                 last.site, other.site);
            return false;
        }
        values[lane] = other.value;
    }
    for (unsigned lane = 0; lane < kLanes; ++lane) {
        if (!(last.mask >> lane & 1)) continue;
        std::memcpy(warp[lane].values, values, sizeof values);
        warp[lane].wait = Wait::kNone;
    }
    return true;
}

// Nobody can run: opens the barrier if all wait at it, says what is wrong if not.
void release() {
    unsigned at_barrier = 0, returned = 0;
    const Thread* first = nullptr;
    for (unsigned i = 0; i < count; ++i) {
        const Thread& thread = threads[i];
        returned += thread.wait == Wait::kReturned;
        if (thread.wait != Wait::kBarrier) continue;
        ++at_barrier;
        if (!first) first = &thread;
        if (thread.site != first->site) {
            return fail("divergent barrier: threads wait at lines %d and %d", first->site,
                        thread.site);
        }
    }
    if (at_barrier == count) {
        for (unsigned i = 0; i < count; ++i) threads[i].wait = Wait::kNone;
        return;
    }
    if (at_barrier + returned == count) {
        return fail("divergent barrier: %u threads returned, %u wait at line %d", returned,
                    at_barrier, first->site);
    }
    fail("deadlock: %u of %u threads in a warp collective whose mask is not met, %u at a barrier",
         count - at_barrier - returned, count, at_barrier);
}

// Runs each lane of a warp that can run, once; says whether there was one.
bool run_warp(unsigned warp, std::uint64_t step) {
    unsigned turn[kLanes];
    const unsigned first = warp * kLanes;
    const unsigned lanes = count - first < kLanes ? count - first : kLanes;
    arrange(turn, lanes, step);
    bool ran = false;
    for (unsigned i = 0; i < lanes && !*error; ++i) {
        Thread& thread = threads[first + turn[i]];
        if (thread.wait != Wait::kNone) continue;
        enter(thread);
        ran = true;
    }
    return ran;
}

// Collectives are a warp's own affair, so a warp may run far ahead of others: it goes on up to a
// barrier before the next one starts, or, shuffled, for a while.
void run_block(std::uint64_t number) {
    const unsigned warps = (count + kLanes - 1) / kLanes;
    unsigned turn[kMostThreads / kLanes], returned = 0;
    for (unsigned i = 0; i < count; ++i) prepare(i);
    for (std::uint64_t step = number << 32; returned < count; ++step) {
        bool ran = false;
        arrange(turn, warps, step);
        for (unsigned i = 0; i < warps; ++i) {
            while (run_warp(turn[i], ++step)) {
                ran = true;
                if (order == kShuffled && mixed(step, 0) % 16 == 0) break;
            }
        }
        if (!ran && !*error) release();
        if (*error) return;
        returned = 0;
        for (unsigned i = 0; i < count; ++i) returned += threads[i].wait == Wait::kReturned;
    }
}

}  // namespace

const char* launch(const unsigned* extents, std::size_t shared_bytes, Body run, void* given) {
    running.grid = {extents[0], extents[1], extents[2]};
    running.block = {extents[3], extents[4], extents[5]};
    count = extents[3] * extents[4] * extents[5];
    const unsigned blocks = extents[0] * extents[1] * extents[2];
    body = run;
    context = given;
    *error = 0;
    among_shared = 0;  // from now on the range is there
    if (!dl_iterate_phdr(find_shared, nullptr)) return "shared memory is not found";
    unsigned* const turn = static_cast<unsigned*>(std::malloc(blocks * sizeof(unsigned)));
    running.dynamic_shared = static_cast<char*>(std::malloc(shared_bytes));
    arrange(turn, blocks, ~std::uint64_t{0});
    for (unsigned i = 0; i < blocks && !*error; ++i) {
        const unsigned number = turn[i];
        running.block_index = {number % extents[0], number / extents[0] % extents[1],
                               number / extents[0] / extents[1]};
        std::memset(running.dynamic_shared, kPoison, shared_bytes);
        std::memset(shared_bytes_start, kPoison, shared_bytes_count);
        run_block(number);
    }
    std::free(running.dynamic_shared);
    std::free(turn);
    return *error ? error : nullptr;
}

void barrier(int site) {
    running.thread->wait = Wait::kBarrier;
    running.thread->site = site;
    leave(false);
}

const std::uint64_t* collective(unsigned mask, std::uint64_t value, int site) {
    Thread& me = *running.thread;
    const unsigned after = count - (me.number - me.lane);  // threads from the warp's first on
    const unsigned there = after < kLanes ? (1u << after) - 1 : ~0u;
    me.wait = Wait::kCollective;
    me.site = site;
    me.mask = mask;
    me.value = value;
    if (!(mask >> me.lane & 1)) {
        fail("line %d: lane %u is not in its own mask %08x", site, me.lane, mask);
    } else if (mask & ~there) {
        fail("line %d: mask %08x names lanes that the block has not", site, mask);
    }
    if (*error || !meet(me)) leave(false);
    return me.values;
}

}  // namespace cuda_on_cpu

extern "C" void cuda_on_cpu_order(int kind, std::uint64_t number) {
    cuda_on_cpu::order = kind;
    cuda_on_cpu::seed = number;
}
