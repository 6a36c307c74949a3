// UVFITS, the exchange format of AIPS and CASA, by casacore's own reader.
#include <casacore/msfits/MSFits/MSFitsInput.h>

#include "call.h"

using namespace casacore;

extern "C" int32_t ms_import_uvfits(const char *uvfits, const char *path, char **message) {
  return shim::call(message, [&] {
    // Antennas get the names of the file's table, not numbers as in old tasks of CASA.
    const bool names_of_the_file = true;
    MSFitsInput input(path, uvfits, names_of_the_file);
    input.readFitsFile();
  });
}
