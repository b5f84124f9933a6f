"""python tools/convert [--vision_tower DIR] SOURCE TARGET"""

import sys

from convert import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
