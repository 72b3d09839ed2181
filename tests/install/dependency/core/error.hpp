/// A header of the stranger's, by the name of one of ours.
#pragma once
inline constexpr int own_error = 7;
