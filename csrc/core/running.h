// Running: who holds one keeps others from running the same thing.
#pragma once

#include <atomic>
#include <string>

#include "error.h"

namespace graphc {

// Raises a flag until its scope is left. Throws Error (GC-R003) if it is up already; `what` is
// running then.
class Running {
  public:
    Running(std::atomic<bool>& flag, const char* what) : flag_(flag) {
        if (flag_.exchange(true)) {
            throw Error("GC-R003", std::string("this ") + what + " is running already");
        }
    }
    ~Running() { flag_ = false; }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

  private:
    std::atomic<bool>& flag_;
};

}  // namespace graphc
