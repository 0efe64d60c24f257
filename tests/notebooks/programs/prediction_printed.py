# Markdown:
# # Background 
# - Neural Networks (NN) are a collection of nested functions that are executed on some input data. These functions are defined by parameters (consisting of weights and biases), which in PyTorch are stored in tensors
# - Training a NN happens in 2 steps:
#     + Forward Propagation
#         In forward prop, the NN makes its best guest about the correct output. It runs the input data through eaech of its functions to make this guess
#     + Backward Propagation
#         In backdrop, the NN adjusts its parameters proportionate to the error in its guess. It does this by traversing backwards from the output, collection the derivatives of the error with respect to the parameters of the functions (gradient), and optimizing the parameters using gradient decent
#
# # Usage in PyTorch
# - Look at an example in a single training step
# - Load a pretrained resnet18 model from `torchvision`
# - Create a random data tensor to represent a single image with 3 channels, and height & width of 64, and its corresponding label initialized to some random values.
# - Label in pretrained model has shape (1, 1000)
#
# ## Initialize the model

# In [30]:
import torch
from torchvision.models import resnet18, ResNet18_Weights

model = resnet18(weights=ResNet18_Weights.DEFAULT)
data = torch.rand(1, 3, 64, 64)
labels = torch.rand(1, 1000)

print(data)

# Out [30]:
# tensor([[[[0.6251, 0.7598, 0.4248,  ..., 0.7573, 0.5613, 0.7866],
#           [0.5035, 0.8779, 0.4713,  ..., 0.5650, 0.6767, 0.8562],
#           [0.2863, 0.4470, 0.3397,  ..., 0.8105, 0.2327, 0.5996],
#           ...,
#           [0.9362, 0.1714, 0.4865,  ..., 0.9688, 0.0949, 0.4427],
#           [0.3287, 0.8217, 0.0116,  ..., 0.2986, 0.4110, 0.5621],
#           [0.6824, 0.1261, 0.5794,  ..., 0.8098, 0.7799, 0.3102]],
#
#          [[0.0841, 0.5695, 0.0147,  ..., 0.7684, 0.3000, 0.0754],
#           [0.0843, 0.9398, 0.8769,  ..., 0.7375, 0.8783, 0.9871],
#           [0.2835, 0.3574, 0.5431,  ..., 0.3162, 0.2763, 0.7701],
#           ...,
#           [0.1786, 0.8331, 0.3787,  ..., 0.0926, 0.8486, 0.0233],
#           [0.1115, 0.1803, 0.2837,  ..., 0.4260, 0.9318, 0.4296],
#           [0.9288, 0.6176, 0.0831,  ..., 0.7140, 0.6532, 0.1884]],
#
#          [[0.8207, 0.5359, 0.4929,  ..., 0.3287, 0.2187, 0.8798],
#           [0.9500, 0.4392, 0.2973,  ..., 0.4105, 0.7287, 0.3486],
#           [0.7781, 0.5383, 0.5283,  ..., 0

# Markdown:
# ## Foward pass
# - Run input data through the model through each of its layers to make a prediction
# - This is a forward pass

# In [31]:
prediction = model(data)

print(prediction)

# Out [31]:
# tensor([[-4.4223e-01, -2.6312e-01, -6.5392e-01, -1.2413e+00, -5.4822e-01,
#          -3.9621e-02, -3.0948e-01,  3.4789e-01,  2.7725e-01, -8.5060e-01,
#          -1.0082e+00, -7.6116e-01, -2.4797e-01, -9.9563e-01, -9.9884e-01,
#          -6.9203e-01, -7.0128e-01, -1.0978e-01, -1.9117e-01, -3.3525e-01,
#          -1.2137e+00, -3.9148e-01, -9.2566e-01,  4.5564e-01, -7.9351e-01,
#          -8.5201e-01, -5.2296e-01, -7.1877e-01, -5.4128e-01, -2.3017e-02,
#          -6.0513e-01, -5.8876e-01, -2.6143e-01, -3.6393e-01, -5.2522e-01,
#          -1.9887e-01,  6.7129e-01, -5.5879e-01, -3.5362e-01, -5.0790e-02,
#          -5.1483e-01, -8.0781e-01, -1.1929e+00, -4.4078e-01, -2.7278e-01,
#          -3.9669e-01, -3.5095e-01, -2.4646e-01, -1.1784e+00, -1.1774e+00,
#          -5.1554e-01,  5.2721e-01, -2.9010e-01, -5.0848e-01, -3.9779e-01,
#          -8.6925e-01, -4.9056e-01, -1.3593e+00, -4.5141e-01, -2.3684e-01,
#           6.7086e-01, -6.2189e-02, -9.8641e-02, -1.3104e-01, -6.5366e-01,
#          -2.2720e-01, -4.2291e-01, -2.

# Markdown:
# ## Backward propagation
# - Use the model prediction to calculate the error (`loss`)
# - Next step is to backpropagate this error through the networ
# - Back propagation is kicked off when we call `.backward()` on the error tensor
# - Autograd then calculates ad stores the gradients for eaeh model parameter in the parameter's `.grad` attribute

# In [32]:
loss = (prediction - labels).sum()
loss.backward()

print(loss)

# Out [32]:
# tensor(-503.6377, grad_fn=<SumBackward0>)

# Markdown:
# ## Optimize
# - Next step is to load an optimizer, in this case SGD with a learning rate of 0.01 and `momentum` of 0.9
# - Register all the parameters of the model in the optimizer
# - SGD = Stochastic Gradient Descent
# - Momentum or SGD with momentum is method which helps accelerate gradients vectors in the right directions, thus leading to faster converging. Specifically it helps the model exit the local min/max to find the absolute min/max
# - Momentum = data from exponentially weighed averages

# In [33]:
optim = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)

print(optim)

# Out [33]:
# SGD (
# Parameter Group 0
#     dampening: 0
#     differentiable: False
#     foreach: None
#     lr: 0.01
#     maximize: False
#     momentum: 0.9
#     nesterov: False
#     weight_decay: 0
# )

# Markdown:
# ## Step
# - Finally, call `.step()` to initiate gradient descent (next epoch)
# - The optimizer adjusts each parameter by its gradient stored in `.grad`

# In [34]:
# Gradient Descent
optim.step()

print(optim)

# Out [34]:
# SGD (
# Parameter Group 0
#     dampening: 0
#     differentiable: False
#     foreach: None
#     lr: 0.01
#     maximize: False
#     momentum: 0.9
#     nesterov: False
#     weight_decay: 0
# )

# Markdown:
# # Differentiation in Autograd
# - How autograd collects gradients
#
# ## Create tensor a and b
# - We create 2 tensors `a` and `b` with `requires_grad=True`
# - This signal to `autograd` that every operation on them should be tracked

# In [35]:
import torch

a = torch.tensor([2., 3.], requires_grad=True)
b = torch.tensor([6., 4.], requires_grad=True)

# Markdown:
# ## Create tensor Q from a and b
# - We create another tensor `Q` from `a` and `b`
# - Q = 3*a**3 - b**2

# In [36]:
Q = 3*a**3 - b**2

# Markdown:
# ## Aggregate Q into a scalar
