// A callable that runs once and can own what cannot be copied (std::function cannot). Up to 56
// bytes of captures are held inline, so that posting one does not allocate. Thread rule: a value.
#pragma once

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "controller/base/check.h"

namespace sluice::net {

template <typename Signature>
class Callback;

template <typename R, typename... Args>
class Callback<R(Args...)> {
 public:
  Callback() = default;
  Callback(std::nullptr_t) {}  // NOLINT: implicit on purpose
  template <typename F>
    requires(!std::is_same_v<std::decay_t<F>, Callback> &&
             std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
  Callback(F&& f) {  // NOLINT: implicit on purpose
    using Held = std::decay_t<F>;
    if constexpr (sizeof(Held) <= kInline && alignof(Held) <= alignof(std::max_align_t) &&
                  std::is_nothrow_move_constructible_v<Held>) {
      new (storage_) Held(std::forward<F>(f));
      vtable_ = &kInlineTable<Held>;
    } else {
      *reinterpret_cast<Held**>(storage_) = new Held(std::forward<F>(f));
      vtable_ = &kHeapTable<Held>;
    }
  }
  Callback(Callback&& other) noexcept { Take(other); }
  Callback& operator=(Callback&& other) noexcept {
    if (this != &other) {
      Reset();
      Take(other);
    }
    return *this;
  }
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;
  ~Callback() { Reset(); }

  explicit operator bool() const { return vtable_ != nullptr; }
  R operator()(Args... args) {
    SLUICE_CHECK(vtable_ != nullptr);
    return vtable_->call(storage_, std::forward<Args>(args)...);
  }

 private:
  static constexpr std::size_t kInline = 56;
  struct Table {
    R (*call)(void*, Args&&...);
    void (*move)(void* from, void* to);  // leaves `from` destroyed
    void (*destroy)(void*);
  };
  template <typename Held>
  static constexpr Table kInlineTable{
      [](void* at, Args&&... args) -> R {
        return (*static_cast<Held*>(at))(std::forward<Args>(args)...);
      },
      [](void* from, void* to) {
        new (to) Held(std::move(*static_cast<Held*>(from)));
        static_cast<Held*>(from)->~Held();
      },
      [](void* at) { static_cast<Held*>(at)->~Held(); }};
  template <typename Held>
  static constexpr Table kHeapTable{
      [](void* at, Args&&... args) -> R {
        return (**static_cast<Held**>(at))(std::forward<Args>(args)...);
      },
      [](void* from, void* to) { *static_cast<Held**>(to) = *static_cast<Held**>(from); },
      [](void* at) { delete *static_cast<Held**>(at); }};

  void Take(Callback& other) {
    if (other.vtable_ == nullptr) return;
    other.vtable_->move(other.storage_, storage_);
    vtable_ = std::exchange(other.vtable_, nullptr);
  }
  void Reset() {
    if (vtable_ != nullptr) std::exchange(vtable_, nullptr)->destroy(storage_);
  }

  const Table* vtable_ = nullptr;
  alignas(std::max_align_t) std::byte storage_[kInline];
};

using Task = Callback<void()>;

}  // namespace sluice::net
