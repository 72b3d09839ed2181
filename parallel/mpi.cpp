#include <mpi.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "exciton/core/dtype.hpp"
#include "exciton/core/error.hpp"
#include "exciton/core/limits.hpp"
#include "exciton/core/memory.hpp"
#include "exciton/parallel/launch.hpp"
#include "exciton/parallel/launched.hpp"
#include "exciton/parallel/link.hpp"

namespace exciton::ranks {
namespace {

using Clock = std::chrono::steady_clock;

void check_mpi(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  fail("parallel: ", what, ": ", std::string(text.data(), static_cast<std::size_t>(length)));
}

/// The sum of `count` rows, in the first of them, by the tree of ops/leaves.hpp.
template <class T>
void fold(std::vector<std::vector<T>>& rows) {
  const std::size_t count = rows.size();
  for (std::size_t step = 1; step < count; step *= 2)
    for (std::size_t row = 0; row + step < count; row += 2 * step)
      for (std::size_t i = 0; i < rows[row].size(); ++i) rows[row][i] += rows[row + step][i];
}

/// The links of a LinkSpec. MPI moves the messages as fast as it can; beside each goes a note of
/// when it would begin to arrive, and who waits for it waits until it would have. Nothing of this
/// needs the processor at a certain moment, as with a network card that works by itself.
class Links {
 public:
  using Time = Port::Time;
  Links(MPI_Comm comm, const LinkSpec& spec) : spec_(spec) {
    check_mpi(MPI_Comm_dup(comm, &comm_), "duplicate the communicator");
    MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
  }
  ~Links() { MPI_Comm_free(&comm_); }
  Links(const Links&) = delete;
  const LinkSpec& spec() const { return spec_; }
  /// A message goes; when its last bit will have left.
  Time send(int to, int tag, std::size_t bytes) {
    const Port::Passage out = out_.pass(Clock::now(), spec_.occupies(bytes));
    std::erase_if(notes_, [](Sent& sent) {
      int gone = 0;
      check_mpi(MPI_Test(&sent.request, &gone, MPI_STATUS_IGNORE), "test");
      return gone != 0;
    });
    Sent& sent = notes_.emplace_back();
    sent.note = {.first = (out.first + spec_.latency()).time_since_epoch().count(),
                 .takes = spec_.occupies(bytes).count()};
    check_mpi(MPI_Isend(&sent.note, sizeof sent.note, MPI_BYTE, to, tag, comm_, &sent.request),
              "send");
    return out.last;
  }
  /// When the next message of `from` with this tag, which is the caller's from now on, will be
  /// whole; nothing where that is not known yet.
  std::optional<Time> claim(int from, int tag) {
    read_notes();
    const auto found = arrivals_.find({from, tag});
    if (found == arrivals_.end()) return std::nullopt;
    const Time out = found->second.front();
    found->second.pop_front();
    if (found->second.empty()) arrivals_.erase(found);
    return out;
  }
  /// Sleeps until the first of the messages that somebody has asked for since the last time is due,
  /// but not so long that one that nobody knows of would be kept waiting.
  void sleep() {
    std::this_thread::sleep_until(std::max(soonest_, Clock::now() + std::chrono::microseconds(20)));
    soonest_ = Clock::now() + std::chrono::microseconds(100);
  }
  /// Whether `at` is past.
  bool past(Time at) {
    soonest_ = std::min(soonest_, at);
    return at <= Clock::now();
  }

 private:
  struct Note {
    Clock::rep first, takes;
  };
  struct Sent {
    Note note{};
    MPI_Request request = MPI_REQUEST_NULL;
  };
  struct Coming {
    int from, tag;
    std::chrono::nanoseconds takes;
  };
  void read_notes() {
    for (;;) {
      int there = 0;
      MPI_Status status;
      check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm_, &there, &status), "probe");
      if (!there) break;
      Note note{};
      check_mpi(MPI_Recv(&note, sizeof note, MPI_BYTE, status.MPI_SOURCE, status.MPI_TAG, comm_,
                         MPI_STATUS_IGNORE),
                "receive");
      coming_.emplace(Time(Clock::duration(note.first)),
                      Coming{.from = status.MPI_SOURCE,
                             .tag = status.MPI_TAG,
                             .takes = std::chrono::nanoseconds(note.takes)});
    }
    // What began to arrive first passes first, from whomever it is.
    for (const Time now = Clock::now(); !coming_.empty() && coming_.begin()->first <= now;
         coming_.erase(coming_.begin())) {
      const auto& [first, one] = *coming_.begin();
      arrivals_[{one.from, one.tag}].push_back(in_.pass(first, one.takes).last);
    }
  }

  LinkSpec spec_;
  MPI_Comm comm_ = MPI_COMM_NULL;
  Port out_, in_;
  Time soonest_{};
  std::list<Sent> notes_;
  std::multimap<Time, Coming> coming_;  ///< by when the first bit is here
  std::map<std::pair<int, int>, std::deque<Time>> arrivals_;
};

/// Messages that are under way, with who they are to or from.
class Messages {
 public:
  /// `links` that they go over, or nullptr.
  Messages(MPI_Comm comm, Links* links) : comm_(comm), links_(links) {}
  template <class T>
  void send(int to, int tag, std::span<const T> values) {
    add(to);
    if (links_) due_.push_back({.tag = tag, .at = links_->send(to, tag, values.size_bytes())});
    check_mpi(MPI_Isend(values.data(), bytes(values), MPI_BYTE, to, tag, comm_, &requests_.back()),
              "send");
  }
  template <class T>
  void receive(int from, int tag, std::span<T> values) {
    add(from);
    if (links_) due_.push_back({.tag = tag, .at = std::nullopt});
    check_mpi(
        MPI_Irecv(values.data(), bytes(values), MPI_BYTE, from, tag, comm_, &requests_.back()),
        "receive");
  }
  /// Whether all have arrived; never waits.
  bool done() {
    if (requests_.empty()) return true;
    int all = 0;
    check_mpi(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &all,
                          MPI_STATUSES_IGNORE),
              "test");
    if (!all) return false;
    if (links_) {
      bool passed = true;
      for (std::size_t i = 0; i < due_.size(); ++i) passed = has_passed(i) && passed;
      if (!passed) return false;
    }
    requests_.clear();
    peers_.clear();
    due_.clear();
    return true;
  }
  /// The ranks of those that have not.
  std::vector<int> missing() {
    std::vector<int> out;
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      int there = 0;
      if (requests_[i] != MPI_REQUEST_NULL)
        check_mpi(MPI_Test(&requests_[i], &there, MPI_STATUS_IGNORE), "test");
      else
        there = 1;
      if (links_ && !has_passed(i)) there = 0;
      if (!there && std::ranges::find(out, peers_[i]) == out.end()) out.push_back(peers_[i]);
    }
    return out;
  }

 private:
  template <class T>
  static int bytes(std::span<T> values) {
    check(values.size_bytes() < (std::size_t{1} << 31), "parallel: a message of ",
          values.size_bytes(), " bytes");
    return static_cast<int>(values.size_bytes());
  }
  void add(int peer) {
    requests_.emplace_back(MPI_REQUEST_NULL);
    peers_.push_back(peer);
  }
  /// Whether the links are done with message i, too.
  bool has_passed(std::size_t i) {
    Due& due = due_[i];
    if (!due.at) due.at = links_->claim(peers_[i], due.tag);
    return due.at && links_->past(*due.at);
  }

  MPI_Comm comm_;
  Links* links_;
  std::vector<MPI_Request> requests_;
  std::vector<int> peers_;
  struct Due {
    int tag;
    std::optional<Links::Time> at;  ///< of one that comes, nothing until it is known
  };
  std::vector<Due> due_;  ///< with links only
};

class MpiGroup;
using UnderWay = std::list<std::function<bool()>>;

/// A sum of floats in pieces, one a rank: everybody sends each rank its piece, which adds them, and
/// sends everybody the sum. 2 (P - 1) / P of the values go out and as many come in, as in a ring.
/// T is what is on the wire.
template <class T>
class PieceSum final : public Group::Pending {
 public:
  PieceSum(MpiGroup& group, std::span<float> values, int tag);
  ~PieceSum() override;
  void wait() override;
  /// Moves on as far as messages have arrived; whether it is done.
  bool advance();
  std::vector<int> missing() { return messages_.missing(); }

 private:
  std::pair<std::size_t, std::size_t> piece(int rank) const;  ///< first, count
  void add_up();

  MpiGroup& group_;
  std::span<float> values_;
  int tag_;
  enum class Phase { gathering, spreading, done } phase_ = Phase::gathering;
  /// On the wire floats are the values themselves; others have copies of them.
  static constexpr bool in_place = std::is_same_v<T, float>;
  std::span<T> wire() {
    if constexpr (in_place)
      return values_;
    else
      return {static_cast<T*>(wire_.data()), values_.size()};
  }
  std::span<T> part(int rank) {  ///< of this one's piece
    return {static_cast<T*>(parts_[static_cast<std::size_t>(rank)].data()), mine_.second};
  }
  Buffer wire_;
  std::vector<Buffer> parts_;  ///< what the ranks have of this one's piece
  std::pair<std::size_t, std::size_t> mine_;
  Messages messages_;
  UnderWay::iterator place_;  ///< among what its group lets move on
};

class MpiGroup final : public Group {
 public:
  MpiGroup(double timeout, const std::optional<LinkSpec>& link) : timeout_(timeout) {
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm_), "duplicate the communicator");
    MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(comm_, &rank_);
    MPI_Comm_size(comm_, &size_);
    emulate(link);
  }
  ~MpiGroup() override {
    links_.reset();
    MPI_Comm_free(&comm_);
  }
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  MPI_Comm comm() const { return comm_; }
  /// The rank that is so many behind this one, round and round. Whoever sends to all of them begins
  /// with the next: were it rank 0 for everybody, all would wait for the one way that leads there.
  int after(int away) const { return (rank_ + away) % size_; }
  Links* links() { return links_ ? &*links_ : nullptr; }

  void sum(std::span<double> values) override {
    std::vector<std::vector<double>> parts(static_cast<std::size_t>(size_));
    parts[static_cast<std::size_t>(rank_)].assign(values.begin(), values.end());
    const int tag = next_tag();
    Messages messages(comm_, links());
    for (int peer = 0; peer < size_; ++peer) {
      if (peer == rank_) continue;
      auto& part = parts[static_cast<std::size_t>(peer)];
      part.resize(values.size());
      messages.receive(peer, tag, std::span(part));
    }
    for (int away = 1; away < size_; ++away)
      messages.send(after(away), tag, std::span<const double>(values));
    await(messages);
    fold(parts);
    std::ranges::copy(parts.front(), values.begin());
  }

  void broadcast(void* data, std::size_t bytes) override {
    constexpr std::size_t most = std::size_t{64} << 20;
    auto* at = static_cast<std::byte*>(data);
    for (; bytes > 0; bytes -= std::min(bytes, most), at += most) {
      const std::span<std::byte> part(at, std::min(bytes, most));
      const int tag = next_tag();
      Messages messages(comm_, links());
      if (rank_ > 0)
        messages.receive(0, tag, part);
      else
        for (int peer = 1; peer < size_; ++peer)
          messages.send(peer, tag, std::span<const std::byte>(part));
      await(messages);
    }
  }

  std::unique_ptr<Pending> begin_sum(std::span<float> values, bool as_bf16) override {
    if (as_bf16) return std::make_unique<PieceSum<bf16>>(*this, values, next_tag());
    return std::make_unique<PieceSum<float>>(*this, values, next_tag());
  }

  void progress() override {
    for (const auto& advance : under_way_) advance();
  }

  /// Lets everything move on until done() holds. `missing` says who is not there, when nobody
  /// answers any more.
  template <class Done, class Missing>
  void until(const Done& done, const Missing& missing) {
    const Clock::time_point start = Clock::now();
    for (int round = 0; !done(); ++round) {
      progress();
      if (round < 2000 && !links_) {
        sched_yield();
        continue;
      }
      if (std::chrono::duration<double>(Clock::now() - start).count() > timeout_) {
        std::string names;
        for (const int peer : missing())
          names += (names.empty() ? "" : ", ") + std::to_string(peer);
        fail("parallel: no answer for ", timeout_, " s from rank ", names.empty() ? "?" : names,
             "; it hangs, is stopped or has lost its network; the last checkpoint is whole");
      }
      if (links_)
        links_->sleep();
      else
        std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  }
  void await(Messages& messages) {
    until([&] { return messages.done(); }, [&] { return messages.missing(); });
  }

  UnderWay::iterator add(std::function<bool()> advance) {
    return under_way_.insert(under_way_.end(), std::move(advance));
  }
  void remove(UnderWay::iterator at) { under_way_.erase(at); }

 private:
  /// Each exchange has a number of its own, the same on all ranks.
  int next_tag() { return tag_ = (tag_ + 1) % 30000; }

  /// Notes of when messages arrive are read by one clock, and everybody must write them.
  void emulate(const std::optional<LinkSpec>& link) {
    const LinkSpec own = link.value_or(LinkSpec{});
    const std::array<double, 4> mine{own.gbit, -own.gbit, own.latency_ms, -own.latency_ms};
    std::array<double, 4> most{};
    check_mpi(MPI_Allreduce(mine.data(), most.data(), 4, MPI_DOUBLE, MPI_MAX, comm_), "compare");
    check(most[0] == -most[1] && most[2] == -most[3],
          "parallel: EXCITON_LINK is not the same for all ranks; set it for all of them or for "
          "none");
    if (!link) return;
    MPI_Comm machine = MPI_COMM_NULL;
    int here = 0;
    check_mpi(MPI_Comm_split_type(comm_, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine),
              "split the communicator");
    MPI_Comm_size(machine, &here);
    MPI_Comm_free(&machine);
    check(here == size_, "parallel: EXCITON_LINK is for ranks on one machine, but only ", here,
          " of ", size_, " are on this one; unset it, the network here is a real one");
    links_.emplace(comm_, *link);
  }

  double timeout_;
  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1, tag_ = 0;
  std::optional<Links> links_;  ///< that are emulated
  UnderWay under_way_;
};

template <class T>
PieceSum<T>::PieceSum(MpiGroup& group, std::span<float> values, int tag)
    : group_(group),
      values_(values),
      tag_(tag),
      mine_(piece(group.rank())),
      messages_(group.comm(), group.links()) {
  if constexpr (!in_place) {
    wire_ = Buffer(std::max<std::size_t>(1, values.size()) * sizeof(T));
    std::ranges::transform(values, wire().begin(), [](float v) { return static_cast<T>(v); });
  }
  for (int peer = 0; peer < group.size(); ++peer) {
    parts_.emplace_back(std::max<std::size_t>(1, mine_.second) * sizeof(T));
    if (peer == group.rank())
      std::ranges::copy(wire().subspan(mine_.first, mine_.second), part(peer).begin());
    else
      messages_.receive(peer, tag_, part(peer));
  }
  for (int away = 1; away < group.size(); ++away) {
    const int peer = group.after(away);
    const auto [at, many] = piece(peer);
    messages_.send(peer, tag_, std::span<const T>(wire().subspan(at, many)));
  }
  place_ = group.add([this] { return advance(); });
}

template <class T>
PieceSum<T>::~PieceSum() {
  group_.remove(place_);
}

template <class T>
std::pair<std::size_t, std::size_t> PieceSum<T>::piece(int rank) const {
  const auto r = static_cast<std::size_t>(rank), of = static_cast<std::size_t>(group_.size());
  const std::size_t first = r * values_.size() / of;
  return {first, (r + 1) * values_.size() / of - first};
}

/// By the tree of ops/leaves.hpp, in f32, a part that stays in cache at a time.
template <class T>
void PieceSum<T>::add_up() {
  constexpr std::size_t at_once = 1024;
  const auto ranks = static_cast<std::size_t>(group_.size());
  std::vector<std::vector<float>> rows(ranks);
  for (std::size_t begin = 0; begin < mine_.second; begin += at_once) {
    const std::size_t count = std::min(at_once, mine_.second - begin);
    for (std::size_t r = 0; r < ranks; ++r) {
      rows[r].resize(count);
      std::ranges::transform(part(static_cast<int>(r)).subspan(begin, count), rows[r].begin(),
                             [](T v) { return static_cast<float>(v); });
    }
    fold(rows);
    std::ranges::transform(rows.front(), wire().subspan(mine_.first + begin, count).begin(),
                           [](float v) { return static_cast<T>(v); });
  }
}

template <class T>
bool PieceSum<T>::advance() {
  if (phase_ == Phase::done || !messages_.done()) return phase_ == Phase::done;
  if (phase_ == Phase::spreading) {
    phase_ = Phase::done;
    return true;
  }
  phase_ = Phase::spreading;
  add_up();
  for (int peer = 0; peer < group_.size(); ++peer) {
    if (peer == group_.rank()) continue;
    const auto [at, many] = piece(peer);
    messages_.receive(peer, tag_, wire().subspan(at, many));
  }
  for (int away = 1; away < group_.size(); ++away)
    messages_.send(group_.after(away), tag_,
                   std::span<const T>(wire().subspan(mine_.first, mine_.second)));
  return false;
}

template <class T>
void PieceSum<T>::wait() {
  group_.until([&] { return advance(); }, [&] { return messages_.missing(); });
  if constexpr (!in_place)
    std::ranges::transform(wire(), values_.begin(), [](T v) { return static_cast<float>(v); });
}

/// Ends what MPI began when it goes, after the group that uses it.
struct Session {
  Session() {
    int given = 0;
    check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &given), "start");
    check(given >= MPI_THREAD_FUNNELED, "parallel: this MPI library allows no threads at all");
  }
  ~Session() { MPI_Finalize(); }
  Session(const Session&) = delete;
};

class MpiLaunch final : public Launch {
 public:
  MpiLaunch(double timeout, const std::optional<LinkSpec>& link) : group_(timeout, link) {}
  Group& group() override { return group_; }

  Place place() override {
    struct Seat {
      char host[256];
      cpu_set_t processors;
    };
    Seat own{};
    gethostname(own.host, sizeof own.host - 1);
    sched_getaffinity(0, sizeof own.processors, &own.processors);
    std::vector<Seat> all(static_cast<std::size_t>(group_.size()));
    check_mpi(
        MPI_Allgather(&own, sizeof own, MPI_BYTE, all.data(), sizeof own, MPI_BYTE, group_.comm()),
        "gather");
    Place out{.host = own.host, .hosts = 0, .ranks_here = 0, .sharing = 0};
    out.processors = read_limits().threads();
    if (const Links* links = group_.links()) out.link = links->spec().text();
    std::vector<std::string> hosts;
    for (const Seat& seat : all) {
      if (std::ranges::find(hosts, seat.host) == hosts.end()) hosts.emplace_back(seat.host);
      if (own.host != std::string(seat.host)) continue;
      ++out.ranks_here;
      out.sharing += CPU_EQUAL(&own.processors, &seat.processors) ? 1 : 0;
    }
    out.hosts = static_cast<int>(hosts.size());
    return out;
  }

  void abort(int status) override { MPI_Abort(MPI_COMM_WORLD, status); }

 private:
  Session session_;
  MpiGroup group_;
};

}  // namespace

std::unique_ptr<Launch> join(double timeout) {
  if (!launched()) return nullptr;
  // Before MPI starts: a process that ends here then ends the job.
  const std::optional<LinkSpec> link = link_from_environment();
  auto out = std::make_unique<MpiLaunch>(timeout, link);
  if (out->group().size() == 1) return nullptr;
  return out;
}

std::string library() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  const std::string all(text.data(), static_cast<std::size_t>(std::max(length, 0)));
  return all.substr(0, all.find_first_of(",\n"));
}

}  // namespace exciton::ranks
