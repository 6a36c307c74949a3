// Writing: new rows, new columns, and values into rows that exist.
#include <cmath>

#include <casacore/casa/Arrays/Matrix.h>
#include <casacore/casa/Arrays/Vector.h>
#include <casacore/tables/DataMan/TiledColumnStMan.h>
#include <casacore/tables/DataMan/TiledShapeStMan.h>
#include <casacore/tables/Tables/ArrColDesc.h>
#include <casacore/tables/Tables/ArrayColumn.h>
#include <casacore/tables/Tables/ScalarColumn.h>
#include <casacore/tables/Tables/TableDesc.h>

#include "call.h"

using namespace casacore;

namespace {

template <class T>
void put_scalars(Table &main, const char *column, uint64_t start, const Vector<T> &values) {
  ScalarColumn<T>(main, column).putColumnRange(shim::rows_of(start, values.size()), values);
}

template <class T>
void put_constant(Table &main, const char *column, uint64_t start, uint64_t rows, T value) {
  put_scalars(main, column, start, Vector<T>(rows, value));
}

// casacore borrows the memory for the call and only reads it.
template <class T>
void put_array(Table &main, const char *column, uint64_t start, uint64_t rows, IPosition cell,
               const T *memory) {
  cell.append(IPosition(1, rows));
  Array<T> values = shim::borrow(cell, const_cast<T *>(memory));
  ArrayColumn<T>(main, column).putColumnRange(shim::rows_of(start, rows), values);
}

void put_identity(Table &main, const MsRows &rows, uint64_t start) {
  uint64_t count = rows.row_count;
  IPosition shape(1, count);
  put_scalars(main, "ANTENNA1", start,
              Vector<Int>(shape, const_cast<Int *>(rows.antenna1), SHARE));
  put_scalars(main, "ANTENNA2", start,
              Vector<Int>(shape, const_cast<Int *>(rows.antenna2), SHARE));
  put_constant(main, "TIME", start, count, rows.time);
  put_constant(main, "TIME_CENTROID", start, count, rows.time);
  put_constant(main, "INTERVAL", start, count, rows.interval);
  put_constant(main, "EXPOSURE", start, count, rows.interval);
  put_constant<Int>(main, "SCAN_NUMBER", start, count, 1);
  for (const char *column : {"ARRAY_ID", "DATA_DESC_ID", "FEED1", "FEED2", "FIELD_ID",
                             "OBSERVATION_ID", "PROCESSOR_ID", "STATE_ID"}) {
    put_constant<Int>(main, column, start, count, 0);
  }
}

// A weight is 1 / sigma^2; a sigma of 0 stands for a weight of 0, as in CASA.
std::vector<float> sigmas(const float *weights, size_t count) {
  std::vector<float> sigma(count);
  for (size_t i = 0; i < count; ++i) {
    sigma[i] = weights[i] > 0 ? 1 / std::sqrt(weights[i]) : 0;
  }
  return sigma;
}

Vector<Bool> row_flags(const bool *flags, uint64_t rows, uint64_t per_row) {
  Vector<Bool> all(rows);
  for (uint64_t row = 0; row < rows; ++row) {
    const bool *first = flags + row * per_row;
    all[row] = std::find(first, first + per_row, false) == first + per_row;
  }
  return all;
}

}  // namespace

extern "C" {

int32_t ms_append(MsHandle *set, const MsRows *rows, const uint64_t shape[2], char **message) {
  return shim::call(message, [&] {
    Table &main = set->main;
    uint64_t start = main.nrow(), count = rows->row_count;
    IPosition cell(2, shape[0], shape[1]), vector(1, shape[0]);
    main.addRow(count);
    put_identity(main, *rows, start);
    put_array(main, "UVW", start, count, IPosition(1, 3), rows->uvw);
    put_array(main, "DATA", start, count, cell, reinterpret_cast<const Complex *>(rows->data));
    put_array(main, "FLAG", start, count, cell, rows->flags);
    put_scalars(main, "FLAG_ROW", start, row_flags(rows->flags, count, shape[0] * shape[1]));
    put_array(main, "WEIGHT", start, count, vector, rows->weights);
    auto sigma = sigmas(rows->weights, count * shape[0]);
    put_array(main, "SIGMA", start, count, vector, sigma.data());
  });
}

int32_t ms_add_complex(MsHandle *set, const char *column, char **message) {
  return shim::call(message, [&] {
    Table &main = set->main;
    if (main.tableDesc().isColumn(column)) {
      shim::require_column(main, column, TpComplex, true);
      return;
    }
    shim::require_column(main, "DATA", TpComplex, true);
    ColumnDesc data = main.tableDesc().columnDesc("DATA");
    ArrayColumn<Complex> cells(main, "DATA");
    String manager = String("Tiled") + column;
    if (data.isFixedShape()) {
      IPosition tile = data.shape();
      tile.append(IPosition(1, std::max<int64_t>(1, 32768 / tile.product())));
      main.addColumn(ArrayColumnDesc<Complex>(column, data.shape(), ColumnDesc::FixedShape),
                     TiledColumnStMan(manager, tile));
      return;
    }
    IPosition tile = main.nrow() > 0 ? cells.shape(0) : IPosition(2, 4, 64);
    tile.append(IPosition(1, std::max<int64_t>(1, 32768 / tile.product())));
    main.addColumn(ArrayColumnDesc<Complex>(column, 2), TiledShapeStMan(manager, tile));
    ArrayColumn<Complex> added(main, column);
    for (rownr_t row = 0; row < main.nrow(); ++row) {
      added.put(row, Matrix<Complex>(cells.shape(row), Complex(0)));
    }
  });
}

int32_t ms_write_complex(MsHandle *set, const char *column, uint64_t start, uint64_t rows,
                         const uint64_t shape[2], const float *values, char **message) {
  return shim::call(message, [&] {
    shim::require_column(set->main, column, TpComplex, true);
    shim::require_rows(set->main, start, rows);
    put_array(set->main, column, start, rows, IPosition(2, shape[0], shape[1]),
              reinterpret_cast<const Complex *>(values));
  });
}

int32_t ms_write_flags(MsHandle *set, uint64_t start, uint64_t rows, const uint64_t shape[2],
                       const bool *flags, char **message) {
  return shim::call(message, [&] {
    shim::require_column(set->main, "FLAG", TpBool, true);
    shim::require_rows(set->main, start, rows);
    put_array(set->main, "FLAG", start, rows, IPosition(2, shape[0], shape[1]), flags);
    put_scalars(set->main, "FLAG_ROW", start, row_flags(flags, rows, shape[0] * shape[1]));
  });
}

}
