/* arm.h: what every arm kernel includes. */
#ifndef BITNET_ARM_H
#define BITNET_ARM_H

#include <arm_neon.h>

#include "kernels/kernels.h"
#include "kernels/simd.h"

#endif
