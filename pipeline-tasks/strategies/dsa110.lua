-- Interference in an observation of a few integrations and a few hundred channels.
--
-- On long baselines the sources of a field beat against each other: crests run through time and
-- frequency like weak interference. At the level of AOFlagger's general strategy (1.0) they are
-- flagged, which takes away amplitudes where they are highest: on simulated groups 4 to 5 % of good
-- data, and 2 % of every flux density with them. At this level it is a thousandth of the data, and
-- all interference is still found.
local LEVEL = 1.5
-- Kernel of the background, by integrations and channels: its size, and its standard deviation.
local BACKGROUND = { 21, 31, 2.5, 5.0 }
-- What is flagged around a flagged stretch, as a share of it (Offringa et al. 2012, A&A 539, A95).
local GROWTH = 0.2

aoflagger.require_min_version("3.0")

function execute(input)
  input:clear_mask()
  for _, polarization in ipairs(input:get_polarizations()) do
    local seen = input:convert_to_polarization(polarization)
    local amplitude = seen:convert_to_complex("amplitude")
    local rest = amplitude:copy()
    -- The strongest first, so that it isn't part of the background of the weaker.
    for _, factor in ipairs({ 4, 2, 1 }) do
      local level = factor * LEVEL
      aoflagger.sumthreshold(rest, level, level, true, true)
      local noisy = rest:copy()
      aoflagger.threshold_channel_rms(noisy, 3 * level, true)
      rest:join_mask(noisy)
      local background = amplitude:copy()
      background:set_mask(rest)
      aoflagger.low_pass_filter(background, table.unpack(BACKGROUND))
      local above = amplitude - background
      above:set_mask(rest)
      rest = above
    end
    seen:set_mask(rest)
    input:set_polarization_data(polarization, seen)
  end
  aoflagger.scale_invariant_rank_operator(input, GROWTH, GROWTH)
  input:flag_nans()
end
