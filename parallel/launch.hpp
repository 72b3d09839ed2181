/// Several processes as one run: what `mpirun -n N exciton train RECIPE` joins.
#pragma once
#include <memory>
#include <string>

#include "exciton/core/group.hpp"

namespace exciton::ranks {

/// Where the ranks of a run are, as each of them sees it.
struct Place {
  std::string host;
  int hosts = 1;       ///< machines of the run
  int ranks_here = 1;  ///< on this one
  int sharing = 1;     ///< of these, those that may run on this rank's very processors
  int processors = 1;  ///< that this rank may run on
  std::string link{};  ///< that is emulated, "10 Gbit/s and 0.1 ms"; "" where messages just go
  /// Threads for this rank: its processors, shared with those that have the same.
  int threads() const { return processors / sharing > 1 ? processors / sharing : 1; }
};

/// The group of this process, and where its ranks are.
class Launch {
 public:
  virtual ~Launch() = default;
  virtual Group& group() = 0;
  virtual Place place() = 0;
  /// Ends all ranks at once, this one with `status`: after an error, for the others would wait.
  virtual void abort(int status) = 0;
};

/// Joins the processes that a launcher (mpirun, mpiexec, srun) started with this one; nullptr where
/// it was started alone. A rank that does not answer for `timeout` seconds is an error, which names
/// it. Errors: started by a launcher, and built without MPI.
std::unique_ptr<Launch> join(double timeout);

/// The MPI library of this build with its version, in a few words; "" without one.
std::string library();

}  // namespace exciton::ranks
