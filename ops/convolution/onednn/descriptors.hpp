/// The one file that knows the difference between oneDNN 2 and 3: how primitives are described.
#pragma once
#include <dnnl.hpp>

namespace exciton::ops::onednn {

struct ConvDims {
  dnnl::memory::desc src, weights, bias, dst;  // bias may be a zero descriptor
  dnnl::memory::dims strides, dilates, padding, padding_end;
};

#if DNNL_VERSION_MAJOR >= 3

inline dnnl::memory::dims dims_of(const dnnl::memory::desc& d) { return d.get_dims(); }

inline dnnl::convolution_forward::primitive_desc forward_desc(const dnnl::engine& e,
                                                              const ConvDims& d, bool bias,
                                                              dnnl::prop_kind kind,
                                                              const dnnl::primitive_attr& attr) {
  using namespace dnnl;
  if (bias)
    return {e,         kind,          algorithm::convolution_direct,
            d.src,     d.weights,     d.bias,
            d.dst,     d.strides,     d.dilates,
            d.padding, d.padding_end, attr};
  return {e,
          kind,
          algorithm::convolution_direct,
          d.src,
          d.weights,
          d.dst,
          d.strides,
          d.dilates,
          d.padding,
          d.padding_end,
          attr};
}
inline dnnl::convolution_backward_data::primitive_desc backward_data_desc(
    const dnnl::engine& e, const ConvDims& d, const dnnl::convolution_forward::primitive_desc& hint,
    const dnnl::primitive_attr& attr) {
  return {e,
          dnnl::algorithm::convolution_direct,
          d.src,
          d.weights,
          d.dst,
          d.strides,
          d.dilates,
          d.padding,
          d.padding_end,
          hint,
          attr};
}
inline dnnl::convolution_backward_weights::primitive_desc backward_weights_desc(
    const dnnl::engine& e, const ConvDims& d, const dnnl::convolution_forward::primitive_desc& hint,
    const dnnl::primitive_attr& attr) {
  return {e,
          dnnl::algorithm::convolution_direct,
          d.src,
          d.weights,
          d.dst,
          d.strides,
          d.dilates,
          d.padding,
          d.padding_end,
          hint,
          attr};
}

#else

inline dnnl::memory::dims dims_of(const dnnl::memory::desc& d) { return d.dims(); }

inline dnnl::convolution_forward::primitive_desc forward_desc(const dnnl::engine& e,
                                                              const ConvDims& d, bool bias,
                                                              dnnl::prop_kind kind,
                                                              const dnnl::primitive_attr& attr) {
  using namespace dnnl;
  if (bias)
    return {convolution_forward::desc(kind, algorithm::convolution_direct, d.src, d.weights, d.bias,
                                      d.dst, d.strides, d.dilates, d.padding, d.padding_end),
            attr, e};
  return {convolution_forward::desc(kind, algorithm::convolution_direct, d.src, d.weights, d.dst,
                                    d.strides, d.dilates, d.padding, d.padding_end),
          attr, e};
}
inline dnnl::convolution_backward_data::primitive_desc backward_data_desc(
    const dnnl::engine& e, const ConvDims& d, const dnnl::convolution_forward::primitive_desc& hint,
    const dnnl::primitive_attr& attr) {
  return {
      dnnl::convolution_backward_data::desc(dnnl::algorithm::convolution_direct, d.src, d.weights,
                                            d.dst, d.strides, d.dilates, d.padding, d.padding_end),
      attr, e, hint};
}
inline dnnl::convolution_backward_weights::primitive_desc backward_weights_desc(
    const dnnl::engine& e, const ConvDims& d, const dnnl::convolution_forward::primitive_desc& hint,
    const dnnl::primitive_attr& attr) {
  return {dnnl::convolution_backward_weights::desc(dnnl::algorithm::convolution_direct, d.src,
                                                   d.weights, d.dst, d.strides, d.dilates,
                                                   d.padding, d.padding_end),
          attr, e, hint};
}

#endif

}  // namespace exciton::ops::onednn
