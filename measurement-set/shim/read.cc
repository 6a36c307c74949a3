// Reading: single cells of any subtable, and row ranges of MAIN.
#include <algorithm>

#include <casacore/casa/Arrays/Vector.h>
#include <casacore/measures/Measures/MDirection.h>
#include <casacore/measures/TableMeasures/ArrayMeasColumn.h>
#include <casacore/tables/Tables/ArrayColumn.h>
#include <casacore/tables/Tables/ColumnDesc.h>
#include <casacore/tables/Tables/ScalarColumn.h>
#include <casacore/tables/Tables/TableDesc.h>

#include "call.h"

using namespace casacore;

namespace {

template <class T>
Vector<Double> array_cell(const Table &table, const String &column, uint64_t row) {
  Array<T> cell = ArrayColumn<T>(table, column)(row);
  Vector<Double> numbers(cell.size());
  std::copy(cell.begin(), cell.end(), numbers.begin());
  return numbers;
}

Vector<Double> number_cell(const Table &table, const String &column, uint64_t row) {
  if (!table.tableDesc().isColumn(column)) {
    shim::require_column(table, column, TpDouble, false);
  }
  shim::require_rows(table, row, 1);
  const ColumnDesc &description = table.tableDesc().columnDesc(column);
  if (description.isScalar()) {
    return Vector<Double>(1, TableColumn(table, column).asdouble(row));
  }
  switch (description.dataType()) {
    case TpInt: return array_cell<Int>(table, column, row);
    case TpFloat: return array_cell<Float>(table, column, row);
    default: return array_cell<Double>(table, column, row);
  }
}

template <class T>
void read_array(MsHandle *set, const char *column, DataType type, uint64_t start, uint64_t rows,
                IPosition cell, T *out) {
  shim::require_column(set->main, column, type, true);
  shim::require_rows(set->main, start, rows);
  cell.append(IPosition(1, rows));
  Array<T> values = shim::borrow(cell, out);
  ArrayColumn<T>(set->main, column).getColumnRange(shim::rows_of(start, rows), values, false);
}

template <class T>
void read_scalars(MsHandle *set, const char *column, DataType type, uint64_t start,
                  uint64_t rows, T *out) {
  shim::require_column(set->main, column, type, false);
  shim::require_rows(set->main, start, rows);
  Vector<T> values(IPosition(1, rows), out, SHARE);
  ScalarColumn<T>(set->main, column).getColumnRange(shim::rows_of(start, rows), values, false);
}

}  // namespace

extern "C" {

int32_t ms_row_count(MsHandle *set, const char *subtable, uint64_t *out, char **message) {
  return shim::call(message, [&] { *out = shim::table(set, subtable).nrow(); });
}

int32_t ms_has_column(MsHandle *set, const char *column, bool *out, char **message) {
  return shim::call(message, [&] { *out = set->main.tableDesc().isColumn(column); });
}

int32_t ms_string(MsHandle *set, const char *subtable, const char *column, uint64_t row,
                  char **out, char **message) {
  return shim::call(message, [&] {
    Table table = shim::table(set, subtable);
    shim::require_column(table, column, TpString, false);
    shim::require_rows(table, row, 1);
    *out = shim::copy_text(ScalarColumn<String>(table, column)(row));
  });
}

int32_t ms_numbers(MsHandle *set, const char *subtable, const char *column, uint64_t row,
                   double *out, size_t capacity, size_t *count, char **message) {
  return shim::call(message, [&] {
    Vector<Double> numbers = number_cell(shim::table(set, subtable), column, row);
    *count = numbers.size();
    std::copy_n(numbers.begin(), std::min(capacity, *count), out);
  });
}

int32_t ms_phase_centre(MsHandle *set, uint64_t field, double *ra_dec, char **frame,
                        char **message) {
  return shim::call(message, [&] {
    // The column needs its table, but doesn't keep it.
    Table fields = shim::table(set, "FIELD");
    shim::require_rows(fields, field, 1);
    ArrayMeasColumn<MDirection> column(fields, "PHASE_DIR");
    Array<MDirection> directions = column(field);
    if (directions.empty()) throw shim::Refusal{MS_WRONG_TYPE, "PHASE_DIR holds no direction"};
    MDirection direction = *directions.begin();
    Vector<Double> angles = direction.getAngle("rad").getValue();
    ra_dec[0] = angles[0];
    ra_dec[1] = angles[1];
    *frame = shim::copy_text(direction.getRefString());
  });
}

int32_t ms_shape(MsHandle *set, const char *column, uint64_t start, uint64_t rows,
                 uint64_t shape[2], char **message) {
  return shim::call(message, [&] {
    if (!set->main.tableDesc().isColumn(column)) {
      shim::require_column(set->main, column, TpComplex, true);
    }
    const ColumnDesc &description = set->main.tableDesc().columnDesc(column);
    if (!description.isArray()) {
      throw shim::Refusal{MS_WRONG_TYPE, std::string("the column ") + column + " holds scalars"};
    }
    shim::require_rows(set->main, start, rows);
    TableColumn cells(set->main, column);
    bool fixed = description.isFixedShape();
    IPosition first;
    if (fixed) {
      first = description.shape();
    } else {
      for (uint64_t row = start; row < start + rows; ++row) {
        IPosition cell = cells.isDefined(row) ? cells.shape(row) : IPosition();
        if (row == start) first = cell;
        if (cell.empty() || !cell.isEqual(first)) {
          throw shim::Refusal{MS_MIXED_SHAPES, "row " + std::to_string(row) + " has shape " +
                                                   cell.toString() + ", row " +
                                                   std::to_string(start) + " has " +
                                                   first.toString()};
        }
      }
    }
    shape[0] = first.size() > 0 ? first[0] : 0;
    shape[1] = first.size() > 1 ? first[1] : 1;
  });
}

int32_t ms_read_complex(MsHandle *set, const char *column, uint64_t start, uint64_t rows,
                        const uint64_t shape[2], float *out, char **message) {
  return shim::call(message, [&] {
    read_array(set, column, TpComplex, start, rows, IPosition(2, shape[0], shape[1]),
               reinterpret_cast<Complex *>(out));
  });
}

int32_t ms_read_flags(MsHandle *set, uint64_t start, uint64_t rows, const uint64_t shape[2],
                      bool *out, char **message) {
  return shim::call(message, [&] {
    read_array(set, "FLAG", TpBool, start, rows, IPosition(2, shape[0], shape[1]), out);
  });
}

int32_t ms_read_floats(MsHandle *set, const char *column, uint64_t start, uint64_t rows,
                       uint64_t per_row, float *out, char **message) {
  return shim::call(message, [&] {
    read_array(set, column, TpFloat, start, rows, IPosition(1, per_row), out);
  });
}

int32_t ms_read_uvw(MsHandle *set, uint64_t start, uint64_t rows, double *out, char **message) {
  return shim::call(message, [&] {
    read_array(set, "UVW", TpDouble, start, rows, IPosition(1, 3), out);
  });
}

int32_t ms_read_doubles(MsHandle *set, const char *column, uint64_t start, uint64_t rows,
                        double *out, char **message) {
  return shim::call(message,
                    [&] { read_scalars(set, column, TpDouble, start, rows, out); });
}

int32_t ms_read_integers(MsHandle *set, const char *column, uint64_t start, uint64_t rows,
                         int32_t *out, char **message) {
  return shim::call(message, [&] { read_scalars(set, column, TpInt, start, rows, out); });
}

}
