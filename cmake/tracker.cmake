# The tracker alone (-DBITNET_TRACKER_ONLY=ON, preset tracker): operations, histograms, rings, windows and
# reports, for programs that run no model. No engine, no kernel, no third-party library.
#   cmake --preset tracker && cmake --build --preset tracker && cmake --install build/tracker --prefix /usr/local
#   find_package(bitnet_tracker 0.1 REQUIRED)   target_link_libraries(app PRIVATE bitnet::tracker)
# A program takes this library or the whole one, which holds the same.
include(install_library)

file(GLOB tracker_sources CONFIGURE_DEPENDS core/base/*.c core/tracker/*.c)
list(FILTER tracker_sources EXCLUDE REGEX "/profile") # is about models
add_library(bitnet_tracker STATIC ${tracker_sources} ${native_os_sources})
target_include_directories(bitnet_tracker PUBLIC
    $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/core/include> $<INSTALL_INTERFACE:include>
    PRIVATE core)
set_target_properties(bitnet_tracker PROPERTIES POSITION_INDEPENDENT_CODE ON EXPORT_NAME tracker)
find_package(Threads REQUIRED)
target_link_libraries(bitnet_tracker PUBLIC Threads::Threads m PRIVATE $<BUILD_INTERFACE:bitnet_warnings>)

bitnet_install_library(bitnet_tracker bitnet_tracker "Tracker of operations and metrics")
foreach(name status.h hooks.h histogram.h ops.h op_stats.h leak.h overhead.h tracker.h metrics.def)
    install(FILES core/include/bitnet/${name} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/bitnet)
endforeach()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
