// A new Measurement Set (version 2) with every required subtable filled.
#include <algorithm>
#include <cmath>
#include <vector>

#include <casacore/measures/TableMeasures/TableMeasDesc.h>
#include <casacore/ms/MeasurementSets.h>
#include <casacore/ms/MeasurementSets/MSColumns.h>
#include <casacore/tables/DataMan/IncrementalStMan.h>
#include <casacore/tables/DataMan/StandardStMan.h>
#include <casacore/tables/DataMan/TiledColumnStMan.h>
#include <casacore/tables/Tables/SetupNewTab.h>
#include <casacore/tables/Tables/TableLock.h>

#include "call.h"

using namespace casacore;

namespace {

// One tile of DATA is 256 KiB, and holds whole rows where they fit.
const int64_t TILE_VISIBILITIES = 32768;

IPosition tile(int64_t correlations, int64_t channels) {
  int64_t in_tile = std::min(channels, std::max<int64_t>(1, TILE_VISIBILITIES / correlations));
  int64_t rows = std::max<int64_t>(1, TILE_VISIBILITIES / (correlations * in_tile));
  return IPosition(3, correlations, in_tile, rows);
}

void fix_shape(TableDesc &description, MS::PredefinedColumns column, const IPosition &shape) {
  description.rwColumnDesc(MS::columnName(column)).setShape(shape);
}

MeasurementSet new_main(const char *path, int64_t correlations, int64_t channels) {
  TableDesc description = MS::requiredTableDesc();
  MS::addColumnToDesc(description, MS::DATA, 2);
  IPosition cell(2, correlations, channels), vector(1, correlations);
  fix_shape(description, MS::DATA, cell);
  fix_shape(description, MS::FLAG, cell);
  fix_shape(description, MS::WEIGHT, vector);
  fix_shape(description, MS::SIGMA, vector);

  SetupNewTable setup(path, description, Table::NewNoReplace);
  IncrementalStMan slow("Slow");
  setup.bindAll(slow);
  StandardStMan fast("Fast", 32768);
  for (auto column : {MS::ANTENNA1, MS::ANTENNA2, MS::FLAG_CATEGORY, MS::FLAG_ROW}) {
    setup.bindColumn(MS::columnName(column), fast);
  }
  auto tiled = [&](MS::PredefinedColumns column, const IPosition &shape) {
    String name = MS::columnName(column);
    setup.bindColumn(name, TiledColumnStMan("Tiled" + name, shape));
  };
  tiled(MS::DATA, tile(correlations, channels));
  tiled(MS::FLAG, tile(correlations, channels));
  tiled(MS::UVW, IPosition(2, 3, 1024));
  tiled(MS::WEIGHT, IPosition(2, correlations, 1024));
  tiled(MS::SIGMA, IPosition(2, correlations, 1024));

  MeasurementSet set(setup, TableLock(TableLock::PermanentLocking), 0);
  set.createDefaultSubtables(Table::New);
  return set;
}

void fill_antennas(MeasurementSet &set, MSColumns &columns, const MsLayout &layout) {
  set.antenna().addRow(layout.antenna_count);
  auto &antenna = columns.antenna();
  for (size_t i = 0; i < layout.antenna_count; ++i) {
    antenna.name().put(i, layout.antenna_names[i]);
    antenna.station().put(i, layout.antenna_stations[i]);
    antenna.type().put(i, "GROUND-BASED");
    antenna.mount().put(i, "ALT-AZ");
    Vector<Double> position(3);
    std::copy_n(layout.antenna_positions + 3 * i, 3, position.begin());
    antenna.position().put(i, position);
    antenna.offset().put(i, Vector<Double>(3, 0.0));
    antenna.dishDiameter().put(i, layout.antenna_diameters[i]);
    antenna.flagRow().put(i, false);
  }
}

void fill_feeds(MeasurementSet &set, MSColumns &columns, const MsLayout &layout) {
  set.feed().addRow(layout.antenna_count);
  auto &feed = columns.feed();
  Vector<String> receptors(2);
  receptors[0] = layout.receptors[0];
  receptors[1] = layout.receptors[1];
  Matrix<Complex> response(2, 2, Complex(0));
  response.diagonal() = Complex(1);
  // Interval 0 around the middle of the observation: valid for all times.
  for (size_t i = 0; i < layout.antenna_count; ++i) {
    feed.antennaId().put(i, i);
    feed.feedId().put(i, 0);
    feed.spectralWindowId().put(i, -1);
    feed.time().put(i, 0.5 * (layout.time_start + layout.time_end));
    feed.interval().put(i, 0.0);
    feed.numReceptors().put(i, 2);
    feed.beamId().put(i, -1);
    feed.beamOffset().put(i, Matrix<Double>(2, 2, 0.0));
    feed.polarizationType().put(i, receptors);
    feed.polResponse().put(i, response);
    feed.position().put(i, Vector<Double>(3, 0.0));
    feed.receptorAngle().put(i, Vector<Double>(2, 0.0));
  }
}

void fill_spectrum(MeasurementSet &set, MSColumns &columns, const MsLayout &layout) {
  set.spectralWindow().addRow();
  auto &window = columns.spectralWindow();
  size_t count = layout.channel_count;
  Vector<Double> frequencies(count);
  std::copy_n(layout.channel_frequencies, count, frequencies.begin());
  Vector<Double> widths(count, layout.channel_width);
  window.numChan().put(0, count);
  window.name().put(0, "SPW0");
  window.refFrequency().put(0, frequencies[count / 2]);
  window.chanFreq().put(0, frequencies);
  window.chanWidth().put(0, widths);
  window.effectiveBW().put(0, widths);
  window.resolution().put(0, widths);
  window.measFreqRef().put(0, MFrequency::TOPO);
  window.totalBandwidth().put(0, count * layout.channel_width);
  window.netSideband().put(0, 1);
  window.ifConvChain().put(0, 0);
  window.freqGroup().put(0, 0);
  window.freqGroupName().put(0, "");
  window.flagRow().put(0, false);

  set.polarization().addRow();
  auto &polarization = columns.polarization();
  Vector<Int> codes(layout.correlation_count);
  std::copy_n(layout.correlation_codes, codes.size(), codes.begin());
  Matrix<Int> receptors(2, layout.correlation_count);
  std::copy_n(layout.correlation_receptors, receptors.size(), receptors.begin());
  polarization.numCorr().put(0, layout.correlation_count);
  polarization.corrType().put(0, codes);
  polarization.corrProduct().put(0, receptors);
  polarization.flagRow().put(0, false);

  set.dataDescription().addRow();
  columns.dataDescription().spectralWindowId().put(0, 0);
  columns.dataDescription().polarizationId().put(0, 0);
  columns.dataDescription().flagRow().put(0, false);
}

void fill_field(MeasurementSet &set, MSColumns &columns, const MsLayout &layout) {
  set.field().addRow();
  auto &field = columns.field();
  Matrix<Double> direction(2, 1);
  direction(0, 0) = layout.field_ra;
  direction(1, 0) = layout.field_dec;
  field.name().put(0, layout.field_name);
  field.code().put(0, "");
  field.time().put(0, layout.time_start);
  field.numPoly().put(0, 0);
  field.delayDir().put(0, direction);
  field.phaseDir().put(0, direction);
  field.referenceDir().put(0, direction);
  field.sourceId().put(0, -1);
  field.flagRow().put(0, false);
}

void fill_observation(MeasurementSet &set, MSColumns &columns, const MsLayout &layout) {
  set.observation().addRow();
  auto &observation = columns.observation();
  Vector<Double> range(2);
  range[0] = layout.time_start;
  range[1] = layout.time_end;
  observation.telescopeName().put(0, layout.telescope);
  observation.timeRange().put(0, range);
  observation.observer().put(0, layout.observer);
  observation.project().put(0, layout.project);
  observation.log().put(0, Vector<String>(1, ""));
  observation.schedule().put(0, Vector<String>(1, ""));
  observation.scheduleType().put(0, "");
  observation.releaseDate().put(0, 0.0);
  observation.flagRow().put(0, false);

  set.processor().addRow();
  columns.processor().type().put(0, "CORRELATOR");
  columns.processor().subType().put(0, "");
  columns.processor().typeId().put(0, -1);
  columns.processor().modeId().put(0, -1);
  columns.processor().flagRow().put(0, false);

  set.state().addRow();
  auto &state = columns.state();
  state.sig().put(0, true);
  state.ref().put(0, false);
  state.cal().put(0, 0.0);
  state.load().put(0, 0.0);
  state.subScan().put(0, 0);
  state.obsMode().put(0, "OBSERVE_TARGET#ON_SOURCE");
  state.flagRow().put(0, false);

  set.history().addRow();
  auto &history = columns.history();
  history.time().put(0, layout.time_end);
  history.observationId().put(0, 0);
  history.message().put(0, layout.history);
  history.priority().put(0, "INFO");
  history.origin().put(0, "measurement-set");
  history.objectId().put(0, 0);
  history.application().put(0, "measurement-set");
  history.cliCommand().put(0, Vector<String>(1, ""));
  history.appParams().put(0, Vector<String>(1, ""));
}

}  // namespace

extern "C" int32_t ms_create(const char *path, const MsLayout *layout, MsHandle **out,
                             char **message) {
  return shim::call(message, [&] {
    MeasurementSet set = new_main(path, layout->correlation_count, layout->channel_count);
    MSColumns columns(set);
    // UVW is in the frame of the phase centre, not in casacore's default (ITRF).
    columns.setUVWRef(Muvw::J2000);
    columns.setDirectionRef(MDirection::J2000);
    fill_antennas(set, columns, *layout);
    fill_feeds(set, columns, *layout);
    fill_spectrum(set, columns, *layout);
    fill_field(set, columns, *layout);
    fill_observation(set, columns, *layout);
    set.flush(false);
    *out = new MsHandle{set};
  });
}
