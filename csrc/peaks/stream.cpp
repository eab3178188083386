#include "peaks/stream.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "error.h"

namespace graphc {

namespace {

using Clock = std::chrono::steady_clock;

std::uint64_t* words_of(const Pages& pages) {
    return reinterpret_cast<std::uint64_t*>(pages.data());
}

// Eight sums side by side, so that no addition waits for the one before.
std::uint64_t sum_of(const std::uint64_t* words, std::size_t count) {
    std::uint64_t sums[8] = {};
    std::size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        for (int lane = 0; lane < 8; ++lane) sums[lane] += words[i + lane];
    }
    for (; i < count; ++i) sums[0] += words[i];
    std::uint64_t total = 0;
    for (const std::uint64_t sum : sums) total += sum;
    return total;
}

// Calls body(first, past) for each thread's own share of a range of words, and returns how long
// that took.
template <class Body>
double share_out(std::size_t begin, std::size_t end, int threads, const Body& body) {
    const std::size_t each = (end - begin + threads - 1) / threads;
    const Clock::time_point start = Clock::now();
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int piece = 0; piece < threads; ++piece) {
        const std::size_t first = std::min(begin + piece * each, end);
        const std::size_t past = std::min(first + each, end);
        if (first < past) body(first, past);
    }
    return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Stream::Stream(std::size_t words, int threads) : words_(words), threads_(threads) {
    if (threads < 1 || threads > 1024) {
        throw Error("GC-R004", std::to_string(threads) + " threads; 1 to 1024 are possible");
    }
    if (words == 0 || words > SIZE_MAX / 16) {
        throw Error("GC-R004", "a stream of " + std::to_string(words) + " words");
    }
    source_ = Pages(words * sizeof(std::uint64_t));
    target_ = Pages(words * sizeof(std::uint64_t));
    // Both blocks are written to here, since that is when memory comes.
    std::uint64_t *const source = words_of(source_), *const target = words_of(target_);
    share_out(0, words, threads, [=](std::size_t first, std::size_t past) {
        for (std::size_t i = first; i < past; ++i) source[i] = i;
        std::memset(target + first, 0xff, (past - first) * sizeof *target);
    });
}

double Stream::read(std::size_t first, std::size_t count, std::uint64_t& sum) const {
    const std::uint64_t* const source = words_of(source_);
    const std::size_t begin = std::min(first, words_),
                      end = begin + std::min(count, words_ - begin);
    std::uint64_t total = 0;
    const double seconds = share_out(begin, end, threads_, [&](std::size_t from, std::size_t past) {
        const std::uint64_t mine = sum_of(source + from, past - from);
#pragma omp atomic
        total += mine;
    });
    sum = total;
    return seconds;
}

double Stream::copy(std::size_t first, std::size_t count) {
    const std::uint64_t* const source = words_of(source_);
    std::uint64_t* const target = words_of(target_);
    const std::size_t begin = std::min(first, words_),
                      end = begin + std::min(count, words_ - begin);
    return share_out(begin, end, threads_, [=](std::size_t from, std::size_t past) {
        std::memcpy(target + from, source + from, (past - from) * sizeof *target);
    });
}

void Stream::swap() { std::swap(source_, target_); }

}  // namespace graphc
