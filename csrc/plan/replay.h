// Replays: what a Program takes that computes some calls, mostly of its forward, once more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace graphc::plan {

// Lists of numbers, one list after the other.
struct Lists {
    std::vector<std::int32_t> begin{0}, items;

    std::size_t size() const { return begin.size() - 1; }
    const std::int32_t* first(std::int32_t i) const { return items.data() + begin[std::size_t(i)]; }
    const std::int32_t* past(std::int32_t i) const {
        return items.data() + begin[std::size_t(i) + 1];
    }
    std::int32_t count(std::int32_t i) const {
        return begin[std::size_t(i) + 1] - begin[std::size_t(i)];
    }
    void close() { begin.push_back(std::int32_t(items.size())); }
};

struct Range {
    const std::int32_t *first, *past;
    const std::int32_t* begin() const { return first; }
    const std::int32_t* end() const { return past; }
};

inline Range range(const Lists& lists, std::int32_t i) { return {lists.first(i), lists.past(i)}; }

// A Program as the search sees it: calls in the order they run, those of the forward below
// `later`; the root buffers of its work arena.
struct Net {
    std::int32_t later = 0;
    Lists reads, writes;  // of each call: roots, each once
    Lists pairs;          // of each call: (number of a write, of a read that it may overwrite), ..
    std::vector<double> us;
    std::vector<std::int64_t> space;     // workspace of each call
    std::vector<std::int32_t> deadline;  // of each call: the last one before which it may be
                                         // replayed; -1: none
    std::vector<std::int64_t> bytes;     // of each root
    std::vector<char> droppable, given;  // of each root; given: filled before call `from`
    std::vector<char> again;             // droppable, or what a call of the backward can make twice
    std::vector<std::int32_t> from, held;  // held: the call until which it stays anyway; -1

    std::int32_t calls() const { return std::int32_t(us.size()); }
    std::int32_t roots() const { return std::int32_t(bytes.size()); }
};

// Call `call` runs once more, right before the later call `before`.
struct Replay {
    std::int32_t before, call;

    bool operator==(const Replay& other) const {
        return before == other.before && call == other.call;
    }
    bool operator<(const Replay& other) const {
        return before != other.before ? before < other.before : call < other.call;
    }
};

// Sorted, each once. A call reads the newest instance of a root.
using Script = std::vector<Replay>;

// One script, step by step: instances of roots, their lives, and the bytes alive. The same as
// lifetimes and in-place chains of the Program with its replays written out.
class Trial {
  public:
    explicit Trial(const Net& net);

    void run(const Script& script);

    std::int64_t peak = 0;
    double us = 0;                             // of the replays
    std::vector<std::int32_t> order;           // the call of each step
    std::vector<std::int32_t> step_of, start;  // of each call: its step; where its replays begin
    std::vector<std::int64_t> live;            // of each step
    // Of each instance: the first ones are those of the forward, by root.
    std::vector<std::int32_t> root, first, last, before, head;
    // Of each step: instances that it reads, then that it writes.
    std::vector<std::int32_t> operands, begin;

  private:
    void list(const Script& script);
    void trace();
    std::size_t follow(std::size_t count);
    void share();
    void measure();

    const Net* net_;
    std::vector<std::int32_t> now_, seen_;  // by root: its newest instance; the one that is read
    std::vector<std::int32_t> stamp_, low_, high_;
    std::vector<char> spent_;
};

}  // namespace graphc::plan
