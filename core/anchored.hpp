/// Objects that others refer to for longer than a call, such as a parameter on a tape: the
/// reference follows them when they are moved, and knows when they are gone.
#pragma once
#include <memory>
#include <utility>

namespace exciton {

/// Base of T (`class Parameter : public Anchored<Parameter>`).
template <class T>
class Anchored {
 public:
  /// Refers to the object wherever it is; get() is nullptr once it was destroyed or replaced by
  /// another.
  class Ref {
   public:
    Ref() = default;
    T* get() const { return place_ ? *place_ : nullptr; }

   private:
    friend class Anchored;
    explicit Ref(std::shared_ptr<T*> place) : place_(std::move(place)) {}
    std::shared_ptr<T*> place_;
  };

  /// Not to be called by two threads at once for the same object.
  Ref ref() {
    if (!place_) place_ = std::make_shared<T*>(static_cast<T*>(this));
    return Ref(place_);
  }

 protected:
  Anchored() = default;
  ~Anchored() { leave(); }
  Anchored(Anchored&& other) noexcept { arrive(other); }
  Anchored& operator=(Anchored&& other) noexcept {
    if (this == &other) return *this;
    leave();
    arrive(other);
    return *this;
  }

 private:
  void arrive(Anchored& other) {
    place_ = std::move(other.place_);
    if (place_) *place_ = static_cast<T*>(this);
  }
  void leave() {
    if (place_) *place_ = nullptr;
  }
  std::shared_ptr<T*> place_;
};

}  // namespace exciton
