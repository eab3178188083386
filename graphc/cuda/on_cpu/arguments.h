// How Python calls a kernel, and what it is told of the kernel's parameters.
#pragma once

#include <cstdio>
#include <utility>

#include "scheduler.h"

namespace cuda_on_cpu {

// A parameter's type as numpy spells it, "v12" for a struct of 12 bytes; types of a kernel file
// with a numpy twin, a half, say, specialize it.
template <class T>
struct Spelling {
    static void write(char*& to) {
        const char kind = std::is_floating_point_v<T> ? 'f'
                          : !std::is_integral_v<T>    ? 'v'
                          : std::is_signed_v<T>       ? 'i'
                                                      : 'u';
        to += std::sprintf(to, "%c%zu", kind, sizeof(T));
    }
};

template <class T>
struct Spelling<T*> {  // "*" before what a kernel may write, "&" before what it only reads
    static void write(char*& to) {
        *to++ = std::is_const_v<T> ? '&' : '*';
        Spelling<std::remove_const_t<T>>::write(to);
    }
};

template <class... Args>
const char* spelled(void (*)(Args...)) {
    static char text[1024];
    char* to = text;
    (..., (Spelling<std::remove_const_t<Args>>::write(to), *to++ = ' '));
    *(to == text ? to : to - 1) = 0;
    return text;
}

template <class... Args, std::size_t... I>
const char* call(void (*kernel)(Args...), void** args, const unsigned* extents, std::size_t shared,
                 std::index_sequence<I...>) {
    auto one = [&] { kernel(*static_cast<std::remove_const_t<Args>*>(args[I])...); };
    const Body body = [](void* given) { (*static_cast<decltype(one)*>(given))(); };
    return launch(extents, shared, body, &one);
}

template <class... Args>
const char* call(void (*kernel)(Args...), void** args, const unsigned* extents,
                 std::size_t shared) {
    return call(kernel, args, extents, shared, std::index_sequence_for<Args...>());
}

}  // namespace cuda_on_cpu
