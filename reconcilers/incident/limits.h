// Every bound of reconcilers/incident in one place.
#pragma once

#include <cstddef>

namespace sluice::incident {

// One notification: its bytes, its alerts (Alertmanager's `max_alerts` keeps below), and what is
// kept of one label or annotation.
inline constexpr std::size_t kMaxNotificationBytes = 512u << 10;
inline constexpr std::size_t kMaxAlerts = 200;
inline constexpr std::size_t kMaxLabels = 64;
inline constexpr std::size_t kMaxTextBytes = 1024;
// Incidents of one alert that are looked at; more than one is open only after a race.
inline constexpr int kMaxIncidentsOfAlert = 50;
// The file that holds the token, and the shortest token that is taken.
inline constexpr std::size_t kMaxTokenBytes = 4096;
inline constexpr std::size_t kMinTokenBytes = 16;

}  // namespace sluice::incident
