// Isa: which instructions the hot loops may use; found out at run time, so that one build serves
// every CPU. Loops live in files of their own, one per Isa, which start with GRAPHC_TARGET_*.
#pragma once

#include <string>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define GRAPHC_X86 1
#else
#define GRAPHC_X86 0
#endif

// From here to the end of the file, code may use these instructions. Standard headers come first:
// what they define must not, as the linker may keep this file's copy for everybody.
// clang-format off
#if defined(__clang__)
#define GRAPHC_TARGET_AVX2 \
    _Pragma("clang attribute push(__attribute__((target(\"avx2,fma\"))), apply_to = function)")
#define GRAPHC_TARGET_AVX512 \
    _Pragma("clang attribute push(__attribute__((target(\"avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,bmi2\"))), apply_to = function)")
#define GRAPHC_TARGET_END _Pragma("clang attribute pop")
#else
#define GRAPHC_TARGET_AVX2 _Pragma("GCC target(\"avx2,fma\")")
#define GRAPHC_TARGET_AVX512 _Pragma("GCC target(\"avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,bmi2\")")
#define GRAPHC_TARGET_END
#endif
// clang-format on

namespace graphc {

enum class Isa { portable = 0, avx2 = 1, avx512 = 2 };

// The most this CPU and operating system can do.
Isa best_isa();

// The best, or a lower one that the environment variable GRAPHC_ISA names. Read anew each time.
// Throws Error (GC-R004) for a name that is none.
Isa chosen_isa();

const char* isa_name(Isa isa);

}  // namespace graphc
