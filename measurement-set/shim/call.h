// What every entry point shares: the handle, and the wall that stops exceptions.
#pragma once

#include <exception>
#include <string>
#include <utility>

#include <casacore/casa/Arrays/Array.h>
#include <casacore/casa/Arrays/Slicer.h>
#include <casacore/tables/Tables/Table.h>

#include "shim.h"

struct MsHandle {
  casacore::Table main;
};

namespace shim {

struct Refusal {
  MsKind kind;
  std::string text;
};

char *copy_text(const std::string &text);

template <class Body>
int32_t call(char **message, Body body) noexcept {
  try {
    body();
    return MS_OK;
  } catch (const Refusal &refusal) {
    *message = copy_text(refusal.text);
    return refusal.kind;
  } catch (const std::exception &error) {
    *message = copy_text(error.what());
  } catch (...) {
    *message = copy_text("an exception that is no std::exception");
  }
  return MS_CASACORE;
}

// MAIN for "", else the subtable that MAIN's keyword names.
casacore::Table table(MsHandle *set, const std::string &subtable);

// Refuses a column that is absent or holds another type.
void require_column(const casacore::Table &table, const std::string &column,
                    casacore::DataType type, bool array);

// Refuses rows that are not there: casacore itself looks at what lies behind the last one.
void require_rows(const casacore::Table &table, uint64_t start, uint64_t rows);

inline casacore::Slicer rows_of(uint64_t start, uint64_t rows) {
  return casacore::Slicer(casacore::IPosition(1, start), casacore::IPosition(1, rows));
}

// An array over the caller's memory: nothing is copied, and nothing may resize it.
template <class T>
casacore::Array<T> borrow(const casacore::IPosition &shape, T *memory) {
  return casacore::Array<T>(shape, memory, casacore::SHARE);
}

}  // namespace shim
