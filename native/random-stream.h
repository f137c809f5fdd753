// The random numbers of TensorFlow's stateless ops for a seed.
#pragma once

#include <array>
#include <cstdint>

#include "fused-kernels.h"

namespace t4 {

/** One step of a counter and a key, to mix a seed (Philox 4x32-10). */
inline std::array<uint32_t, 4> Mix(std::array<uint32_t, 4> c, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; round++) {
    const uint64_t a = static_cast<uint64_t>(kPhiloxA) * c[0];
    const uint64_t b = static_cast<uint64_t>(kPhiloxB) * c[2];
    c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(a)};
    k0 += kWeylA;
    k1 += kWeylB;
  }
  return c;
}

/** The stream of TensorFlow's StatelessRandom... ops for a seed (stateless_random_ops.cc, GenerateKey). */
inline PhiloxStream StreamOf(const int32_t seed[2]) {
  const auto first = static_cast<uint64_t>(static_cast<int64_t>(seed[0]));
  const auto second = static_cast<uint64_t>(static_cast<int64_t>(seed[1]));
  const auto mix = Mix({static_cast<uint32_t>(first), static_cast<uint32_t>(first >> 32), static_cast<uint32_t>(second),
                        static_cast<uint32_t>(second >> 32)},
                       0x3ec8f720, 0x02461e29);
  return {{0, 0, mix[2], mix[3]}, {mix[0], mix[1]}};
}

}  // namespace t4
