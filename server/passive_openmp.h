// OpenMP's threads sleep when they have nothing to do.
#pragma once

namespace varserve {

// By default a thread of libgomp burns its CPU for milliseconds at the end of every parallel loop, which
// ruins other processes on the machine and lets an idle server look busy. The library reads its settings
// before main, so this sets them in the environment and starts the program anew, once; settings of the user's
// own are left alone. Call first thing in main.
void UsePassiveOpenMp(char** argv);

}  // namespace varserve
