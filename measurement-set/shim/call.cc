// Opening, flushing, closing, and finding tables and columns.
#include "call.h"

#include <cstdlib>
#include <cstring>

#include <casacore/casa/version.h>
#include <casacore/tables/Tables/ColumnDesc.h>
#include <casacore/tables/Tables/TableDesc.h>
#include <casacore/tables/Tables/TableLock.h>
#include <casacore/tables/Tables/TableRecord.h>

using namespace casacore;

namespace shim {

char *copy_text(const std::string &text) {
  char *copy = static_cast<char *>(std::malloc(text.size() + 1));
  if (copy) std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

Table table(MsHandle *set, const std::string &subtable) {
  if (subtable.empty()) return set->main;
  const TableRecord &keywords = set->main.keywordSet();
  if (!keywords.isDefined(subtable)) {
    throw Refusal{MS_NOT_A_SET, "it has no subtable " + subtable};
  }
  return keywords.asTable(subtable);
}

void require_column(const Table &table, const std::string &column, DataType type, bool array) {
  if (!table.tableDesc().isColumn(column)) {
    std::string names;
    for (const String &name : table.tableDesc().columnNames()) {
      names += (names.empty() ? "" : ", ") + name;
    }
    throw Refusal{MS_NO_COLUMN, "there is no column " + column + "; there are " + names};
  }
  const ColumnDesc &description = table.tableDesc().columnDesc(column);
  if (description.dataType() != type || description.isArray() != array) {
    const std::string kind = ValType::getTypeStr(description.dataType());
    throw Refusal{MS_WRONG_TYPE, "the column " + column + " holds other things: " + kind +
                                     (description.isArray() ? " arrays" : " scalars")};
  }
}

void require_rows(const Table &table, uint64_t start, uint64_t rows) {
  uint64_t count = table.nrow();
  if (start <= count && rows <= count - start) return;
  const std::string name = table.tableName();
  throw Refusal{MS_MIXED_SHAPES, name + " has " + std::to_string(count) + " rows; " +
                                     std::to_string(rows) + " from row " +
                                     std::to_string(start) + " on were asked for"};
}

}  // namespace shim

extern "C" {

const char *ms_casacore_version() { return getVersion(); }

void ms_free(char *text) { std::free(text); }

int32_t ms_open(const char *path, bool writable, MsHandle **out, char **message) {
  return shim::call(message, [&] {
    if (!Table::isReadable(path)) {
      throw shim::Refusal{MS_NOT_A_TABLE, "table.dat is absent or unreadable"};
    }
    if (writable && !Table::isWritable(path)) {
      throw shim::Refusal{MS_CASACORE, "the files are not writable"};
    }
    // A writer that cannot have the lock must say so at once instead of waiting
    // for the other process without end, as casacore's default would.
    TableLock lock(writable ? TableLock::PermanentLocking : TableLock::AutoNoReadLocking);
    Table main(path, lock, writable ? Table::Update : Table::Old);
    for (const char *keyword : {"ANTENNA", "DATA_DESCRIPTION", "FIELD", "SPECTRAL_WINDOW"}) {
      if (!main.keywordSet().isDefined(keyword)) {
        throw shim::Refusal{MS_NOT_A_SET, std::string("it has no subtable ") + keyword};
      }
    }
    *out = new MsHandle{main};
  });
}

int32_t ms_flush(MsHandle *set, char **message) {
  return shim::call(message, [&] { set->main.flush(/*fsync=*/true, /*recursive=*/true); });
}

int32_t ms_close(MsHandle *set, char **message) {
  int32_t kind = shim::call(message, [&] {
    if (set->main.isWritable()) set->main.flush(false, true);
  });
  if (kind != MS_OK) {
    // The first message is the one that tells; a second one would leak it.
    char *ignored = nullptr;
    shim::call(&ignored, [&] { delete set; });
    std::free(ignored);
    return kind;
  }
  return shim::call(message, [&] { delete set; });
}

}
