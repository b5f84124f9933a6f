#pragma once

namespace varserve {

inline constexpr char kVersion[] = VARSERVE_VERSION;  // of the project, from CMakeLists.txt

}  // namespace varserve
