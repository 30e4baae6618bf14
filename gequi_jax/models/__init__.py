"""The networks of the two papers, by name, at the papers' sizes, and networks for volumes.

Example:
  >>> from flax import nnx
  >>> model = create_model("rotmnist_r4_sa", rngs=nnx.Rngs(0))
  >>> model_info("rotmnist_r4_sa").input_shape
  (28, 28, 1)
"""

from gequi_jax.models._all_cnn import AllCNN as AllCNN
from gequi_jax.models._densenet import DenseNet as DenseNet
from gequi_jax.models._gsa_net import GSANet as GSANet
from gequi_jax.models._p4_cnn import P4CNN as P4CNN
from gequi_jax.models._registry import ModelInfo as ModelInfo
from gequi_jax.models._registry import create_model as create_model
from gequi_jax.models._registry import list_models as list_models
from gequi_jax.models._registry import model_info as model_info
from gequi_jax.models._resnet import ResidualBlock as ResidualBlock
from gequi_jax.models._resnet import ResNet as ResNet
from gequi_jax.models._restrict import restrict as restrict
from gequi_jax.models._tiles import predict_in_tiles as predict_in_tiles
from gequi_jax.models._unet import UNet as UNet
from gequi_jax.models._unet import UNetStage as UNetStage
from gequi_jax.models._vision_transformer import VisionTransformer as VisionTransformer
from gequi_jax.models._volume_cnn import VolumeCNN as VolumeCNN
from gequi_jax.models._weights import load_model as load_model
from gequi_jax.models._weights import save_weights as save_weights
from gequi_jax.models._weights import weights_info as weights_info
from gequi_jax.models._weights_file import WeightsInfo as WeightsInfo
