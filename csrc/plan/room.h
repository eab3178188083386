// Room: one block by itself, its forward and backward as a Net, in which options are tried.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "plan/bring.h"
#include "plan/options.h"
#include "plan/replay.h"

namespace graphc::plan {

struct Part {
    std::int32_t first, past;       // of the forward
    std::int32_t begin, end;        // of the backward
    std::int32_t in, out;           // the roots that pass; -1
    std::vector<std::int32_t> own;  // large roots written here, without `out`
};

class Room {
  public:
    // The Program that a block is part of.
    struct Whole {
        const Net& net;
        const std::vector<std::int32_t>&first, &last;  // uses of each root
        std::int32_t tail;                             // where the last block's backward is over
    };

    Room(const Whole& whole, const Part& part);

    // The same for blocks that are alike.
    std::string key(std::int64_t gradient, std::int64_t growth) const;
    Kind kind();
    // Bytes that are alive all the time and that no call here uses.
    void set_through(std::int64_t bytes) { through_ = bytes; }
    const std::vector<std::int32_t>& roots() const { return roots_; }

  private:
    std::int32_t local(std::int32_t root);
    void add(std::int32_t call);
    void describe(std::size_t i);
    bool attempt(const std::vector<char>& fates, Option& option);
    void find(bool with_out, std::vector<Option>& options);
    void every(std::size_t at, char least, std::vector<char>& fates, std::vector<Option>& all);
    void descend(std::vector<char> fates, double weight, std::vector<Option>& all);
    void few(std::vector<char> fates, std::vector<Option>& all);

    const Whole whole_;
    const Part& part_;
    Net local_;
    Lists writers_;
    std::map<std::int32_t, std::int32_t> ids_;
    std::vector<std::int32_t> roots_, own_, targets_;
    std::int32_t out_ = -1;
    std::int64_t in_bytes_ = 0, through_ = 0;
    bool with_out_ = true;
    Bring* bring_ = nullptr;
    Trial* trial_ = nullptr;
};

}  // namespace graphc::plan
