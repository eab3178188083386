// graphc::Error: what C++ throws; bind.cpp turns it into Python's GraphError.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace graphc {

// `code` is a key of graphc/codes.py, `hint` one line of advice (may be empty).
class Error : public std::runtime_error {
  public:
    Error(std::string code, const std::string& message, std::string hint = "")
        : std::runtime_error(message), code(std::move(code)), hint(std::move(hint)) {}

    std::string code;
    std::string hint;
};

}  // namespace graphc
