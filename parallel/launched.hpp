/// What launchers of MPI programs leave in the environment.
#pragma once
#include <cstdlib>

namespace exciton::ranks {

/// Whether a launcher started this process: Open MPI's, MPICH's (and those that speak its
/// protocol), or one that speaks PMIx, as SLURM's srun --mpi=pmix.
inline bool launched() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMI_RANK", "PMIX_RANK"})
    if (std::getenv(name)) return true;
  return false;
}

}  // namespace exciton::ranks
